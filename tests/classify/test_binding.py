"""I/O binding, on the CPU: the same calls as on a GPU, whose buffers lie elsewhere."""

from pathlib import Path

import numpy as np
import pytest

from monitor.classify import graph
from monitor.classify.binding import BoundRunner
from monitor.classify.native import Session
from monitor.messages import Samples
from monitor.onnx import ort
from tests.parts.slow_model import write_slow_model
from tests.parts.tiny_model import write_tiny_model

OUTPUTS = ("probabilities", "embedding")


def waveforms(rows: int, seed: int = 0) -> Samples:
    """Noise of levels that the tiny model is unsure about."""
    return np.random.default_rng(seed).uniform(-0.05, 0.05, (rows, 15_600)).astype(np.float32)


@pytest.fixture
def session(tmp_path: Path) -> ort.InferenceSession:
    """The tiny model, loaded."""
    return ort.InferenceSession(str(write_tiny_model(tmp_path / "x.onnx")), providers=["CPUExecutionProvider"])


def test_bound_runs_answer_as_others_do(session: ort.InferenceSession) -> None:
    """Of each size, again and again; an answer stays as it is when the buffers are used anew."""
    runner = BoundRunner(session, "cpu")
    kept = []
    for seed, rows in enumerate((1, 3, 1, 3, 1)):
        feeds = {"waveform": waveforms(rows, seed)}
        kept.append((runner.run(OUTPUTS, feeds, ort.RunOptions()), session.run(OUTPUTS, feeds)))
    for got, expected in kept:
        for one, other in zip(got, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_buffers_are_made_once_for_each_shape(session: ort.InferenceSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """Later runs allocate nothing on the device."""
    made: list[list[int]] = []
    allocate = ort.OrtValue.ortvalue_from_shape_and_type

    def counted(shape: tuple[int, ...], *others: object) -> ort.OrtValue:
        made.append(list(shape))
        return allocate(shape, *others)

    monkeypatch.setattr(ort.OrtValue, "ortvalue_from_shape_and_type", counted)
    runner = BoundRunner(session, "cpu")
    for rows in (1, 2, 2, 1, 2):
        runner.run(OUTPUTS, {"waveform": waveforms(rows)}, ort.RunOptions())
    assert made == [[1, 15_600], [2, 15_600]]


@pytest.fixture
def on_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the CPU be a device with buffers of its own."""
    monkeypatch.setitem(graph.DEVICES, "CPUExecutionProvider", "cpu")


@pytest.mark.usefixtures("on_device")
def test_a_bound_session_answers_as_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For any number of windows; buffers are made for powers of two only."""
    path = write_tiny_model(tmp_path / "x.onnx")
    bound = Session(path)
    monkeypatch.delitem(graph.DEVICES, "CPUExecutionProvider")
    plain = Session(path)
    for rows in (1, 2, 3, 5, 6, 7, 8):
        for one, other in zip(bound.run(waveforms(rows)), plain.run(waveforms(rows)), strict=True):
            assert one is not None
            assert other is not None
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert bound._graph._bound is not None
    sizes = [buffers.inputs["waveform"].shape()[0] for buffers in bound._graph._bound._made.values()]
    assert sorted(sizes) == [1, 2, 4, 8]


@pytest.mark.usefixtures("on_device")
def test_a_bound_run_can_be_broken_off(tmp_path: Path) -> None:
    """By the same call as any other."""
    session = Session(write_slow_model(tmp_path / "slow.onnx"))
    session.terminate()
    with pytest.raises(Exception, match="terminate flag"):
        session.run(np.ones((1, 15_600), np.float32))
