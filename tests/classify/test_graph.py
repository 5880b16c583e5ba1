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
from monitor.classify.model import NativeModel
from monitor.errors import ModelError
from monitor.messages import Samples
from monitor.onnx import ort
from tests.parts.slow_model import write_slow_model
from tests.parts.tiny_model import write_tiny_model

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
OUTPUTS = ("probabilities", "embedding")


class Machine:
    """Fakes ONNX Runtime on a machine with these providers; all compute on the CPU."""

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


def test_by_default_an_available_gpu_is_used(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The GPU runs on bound buffers."""
    Machine(monkeypatch, CUDA, CPU)
    loaded = Graph(path)
    assert (loaded.provider, loaded.bound) == (CUDA, True)
    (answer,) = loaded.run(["probabilities"], {"waveform": np.zeros((1, 15_600), np.float32)})
    np.testing.assert_allclose(answer, [[0, 1]], atol=0.01)


def test_by_default_the_cpu_is_used_if_the_gpu_fails(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log gives the reason."""
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
    """There is no silent fallback to the CPU."""
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    machine = Machine(monkeypatch, CPU)
    with pytest.raises(ModelError, match=f"cannot be loaded on {provider}: .* no CUDA-capable device is detected"):
        Graph(path, provider)
    assert len(machine.asked) == 1


def test_tensorrt_keeps_its_engines(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Engines go to the cache folder; CUDA runs the operators that TensorRT lacks."""
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    machine = Machine(monkeypatch, TENSORRT)
    assert Graph(path, "tensorrt").provider == TENSORRT
    folder = tmp_path / "cache/tensorrt"
    kept = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(folder)}
    assert machine.asked == [[(TENSORRT, kept), CUDA]]
    assert folder.is_dir()


def test_tensorrt_runs_without_a_cache(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An unwritable cache folder disables the engine cache only."""
    (tmp_path / "cache").touch()
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    machine = Machine(monkeypatch, TENSORRT)
    assert Graph(path, "tensorrt").provider == TENSORRT
    assert machine.asked == [[(TENSORRT, {}), CUDA]]


def test_the_cpu_can_be_chosen_on_a_machine_with_a_gpu(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With provider `cpu` the GPU is not tried."""
    machine = Machine(monkeypatch, CUDA, CPU)
    assert Graph(path, "cpu").provider == CPU
    assert machine.asked == [[CPU]]


def waveforms(rows: int, seed: int = 0) -> Samples:
    """Noise at levels with intermediate scores in the tiny model."""
    return np.random.default_rng(seed).uniform(-0.05, 0.05, (rows, 15_600)).astype(np.float32)


@pytest.fixture
def session(tmp_path: Path) -> ort.InferenceSession:
    """The tiny model, loaded."""
    return ort.InferenceSession(str(write_tiny_model(tmp_path / "x.onnx")), providers=["CPUExecutionProvider"])


def test_bound_runs_have_the_same_answers(session: ort.InferenceSession) -> None:
    """Bound runs match unbound runs for alternating sizes, and later runs do not overwrite an answer."""
    runner = BoundRunner(session, "cpu")
    kept = []
    for seed, rows in enumerate((1, 3, 1, 3, 1)):
        feeds = {"waveform": waveforms(rows, seed)}
        kept.append((runner.run(OUTPUTS, feeds, ort.RunOptions()), session.run(OUTPUTS, feeds)))
    for got, expected in kept:
        for one, other in zip(got, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_buffers_are_allocated_once_per_shape(session: ort.InferenceSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """Later runs of a shape allocate nothing on the device."""
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
    """The CPU counts as a device with bound buffers."""
    monkeypatch.setitem(graph.DEVICES, "CPUExecutionProvider", "cpu")


@pytest.mark.usefixtures("on_device")
def test_a_bound_model_has_the_same_answers(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any number of windows has the same answers; buffers exist only for powers of two."""
    bound = NativeModel(path)
    monkeypatch.delitem(graph.DEVICES, "CPUExecutionProvider")
    plain = NativeModel(path)
    for rows in (1, 2, 3, 5, 6, 7, 8):
        for one, other in zip(bound.run(waveforms(rows)), plain.run(waveforms(rows)), strict=True):
            assert one is not None
            assert other is not None
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert bound._graph._bound is not None
    sizes = [buffers.inputs["waveform"].shape()[0] for buffers in bound._graph._bound._cached.values()]
    assert sorted(sizes) == [1, 2, 4, 8]


@pytest.mark.usefixtures("on_device")
def test_a_bound_run_can_be_terminated(tmp_path: Path) -> None:
    """`terminate` stops a bound run as well."""
    session = NativeModel(write_slow_model(tmp_path / "slow.onnx"))
    session.terminate()
    with pytest.raises(Exception, match="terminate flag"):
        session.run(np.ones((1, 15_600), np.float32))


def test_memory_is_limited_inside_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """An allocation above the limit fails; one below it, and one afterwards, do not."""
    monkeypatch.setattr(graph, "MEMORY", 2**28)
    before = resource.getrlimit(resource.RLIMIT_AS)
    with bounded_memory():
        assert np.zeros(2**20, np.uint8).nbytes == 2**20
        with pytest.raises(MemoryError):
            np.zeros(2**29, np.uint8)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    assert np.zeros(2**29, np.uint8).nbytes == 2**29


def test_the_limit_is_lifted_after_a_failure() -> None:
    """An exception inside the context restores the limit."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(ValueError, match="wrong"), bounded_memory():
        raise ValueError("wrong")
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_a_run_that_takes_too_long_is_terminated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is a timeout."""
    monkeypatch.setattr(graph, "PATIENCE", 0.05)
    terminated = threading.Event()

    def run() -> None:
        assert terminated.wait(10)
        raise RuntimeError("terminated")

    with pytest.raises(TimeoutError, match=r"it took longer than 0\.05 s"), bounded_time(terminated.set):
        run()


def test_other_failures_are_unchanged() -> None:
    """A failure within the time limit is passed on."""
    terminated = threading.Event()
    with pytest.raises(RuntimeError, match="of itself"), bounded_time(terminated.set):
        raise RuntimeError("of itself")
    assert not terminated.is_set()
