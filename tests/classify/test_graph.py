"""Graphs: the provider they run on, I/O binding, and the bounds on memory and time; the CPU stands in for a GPU."""

import logging
import resource
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monitor.classify import graph
from monitor.classify.graph import BoundRunner, Graph, bounded_memory, bounded_time
from monitor.classify.native import NativeModel
from monitor.errors import ModelError
from monitor.messages import Samples
from monitor.onnx import ort
from tests.parts.slow_model import write_slow_model
from tests.parts.tiny_model import write_tiny_model

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
OUTPUTS = ("probabilities", "embedding")


class Machine:
    """ONNX Runtime as on a machine with these providers; all of them compute on the CPU."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *working: str) -> None:
        self.asked: list[list[Any]] = []
        load = ort.InferenceSession

        def start(path: str, options: ort.SessionOptions, *, providers: list[Any], **others: Any) -> Any:
            self.asked.append(providers)
            names = [provider if isinstance(provider, str) else provider[0] for provider in providers]
            if names[0] not in working:
                raise RuntimeError("CUDA failure 100: no CUDA-capable device is detected")
            session = load(path, options, providers=[CPU], **others)
            session.get_providers = lambda: [*names, CPU]
            return session

        monkeypatch.setattr(ort, "get_available_providers", lambda: [TENSORRT, CUDA, CPU])
        monkeypatch.setattr(ort, "InferenceSession", start)
        for provider in graph.DEVICES:
            monkeypatch.setitem(graph.DEVICES, provider, "cpu")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The tiny model."""
    return write_tiny_model(tmp_path / "x.onnx")


def test_by_default_a_gpu_is_used_where_there_is_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On buffers of its own."""
    Machine(monkeypatch, CUDA, CPU)
    loaded = Graph(path)
    assert (loaded.provider, loaded.bound) == (CUDA, True)
    (answer,) = loaded.run(["probabilities"], {"waveform": np.zeros((1, 15_600), np.float32)})
    np.testing.assert_allclose(answer, [[0, 1]], atol=0.01)


def test_by_default_the_cpu_is_used_where_the_gpu_fails(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says why."""
    machine = Machine(monkeypatch, CPU)
    with caplog.at_level(logging.INFO):
        loaded = Graph(path)
    assert (loaded.provider, loaded.bound) == (CPU, False)
    assert machine.asked == [[CUDA], [CPU]]
    assert "no CUDA-capable device is detected" in caplog.text


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_configured_gpu_that_fails_is_an_error(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, provider: str
) -> None:
    """Nothing silently falls back to the CPU, and nothing is printed."""
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    machine = Machine(monkeypatch, CPU)
    with pytest.raises(ModelError, match=f"cannot be loaded on {provider}: .* no CUDA-capable device is detected"):
        Graph(path, provider)
    assert len(machine.asked) == 1


def test_tensorrt_keeps_its_engines(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In the user's cache folder; CUDA computes what it cannot."""
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    machine = Machine(monkeypatch, TENSORRT)
    assert Graph(path, "tensorrt").provider == TENSORRT
    folder = tmp_path / "cache/tensorrt"
    kept = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(folder)}
    assert machine.asked == [[(TENSORRT, kept), CUDA]]
    assert folder.is_dir()


def test_tensorrt_runs_without_a_cache_too(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where nothing can be written."""
    (tmp_path / "cache").touch()
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    machine = Machine(monkeypatch, TENSORRT)
    assert Graph(path, "tensorrt").provider == TENSORRT
    assert machine.asked == [[(TENSORRT, {}), CUDA]]


def test_the_cpu_can_be_chosen_on_a_machine_with_a_gpu(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The GPU is not even asked for."""
    machine = Machine(monkeypatch, CUDA, CPU)
    assert Graph(path, "cpu").provider == CPU
    assert machine.asked == [[CPU]]


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
def test_a_bound_session_answers_as_another(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For any number of windows; buffers are made for powers of two only."""
    bound = NativeModel(path)
    monkeypatch.delitem(graph.DEVICES, "CPUExecutionProvider")
    plain = NativeModel(path)
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
    session = NativeModel(write_slow_model(tmp_path / "slow.onnx"))
    session.terminate()
    with pytest.raises(Exception, match="terminate flag"):
        session.run(np.ones((1, 15_600), np.float32))


def test_memory_is_bounded_only_within(monkeypatch: pytest.MonkeyPatch) -> None:
    """An allocation beyond the bound fails, one below it and one afterwards do not."""
    monkeypatch.setattr(graph, "MEMORY", 2**28)
    before = resource.getrlimit(resource.RLIMIT_AS)
    with bounded_memory():
        assert np.zeros(2**20, np.uint8).nbytes == 2**20
        with pytest.raises(MemoryError):
            np.zeros(2**29, np.uint8)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    assert np.zeros(2**29, np.uint8).nbytes == 2**29


def test_the_bound_is_lifted_after_a_failure() -> None:
    """Whatever went wrong."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(ValueError, match="wrong"), bounded_memory():
        raise ValueError("wrong")
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_what_takes_too_long_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """And it is said that it was for this."""
    monkeypatch.setattr(graph, "PATIENCE", 0.05)
    told = threading.Event()

    def run() -> None:
        assert told.wait(10)
        raise RuntimeError("terminated")

    with pytest.raises(TimeoutError, match=r"it takes longer than 0\.05 s"), bounded_time(told.set):
        run()


def test_what_fails_in_time_fails_as_it_is() -> None:
    """Nothing is broken off."""
    told = threading.Event()
    with pytest.raises(RuntimeError, match="of itself"), bounded_time(told.set):
        raise RuntimeError("of itself")
    assert not told.is_set()
