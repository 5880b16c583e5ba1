"""Which provider a graph runs on, as far as that can be seen without a GPU."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monitor.classify import graph
from monitor.classify.graph import Graph
from monitor.errors import ModelError
from monitor.onnx import ort
from tests.parts.tiny_model import write_tiny_model

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"


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
