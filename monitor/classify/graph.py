"""A graph in ONNX Runtime, on the configured provider: from named arrays to arrays.

A file of a few bytes can request a hundred gigabytes or loop without end, and only running it shows that. So loading
and the first run have limits of memory and time.
"""

import contextlib
import logging
import os
import resource
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.classify.onnx_file import read_metadata
from monitor.errors import ModelError
from monitor.messages import Samples
from monitor.onnx import PROVIDERS, open_session, ort, plain

log = logging.getLogger(__name__)

DEVICES = {PROVIDERS["cuda"]: "cuda", PROVIDERS["tensorrt"]: "cuda"}
"""Providers that compute in memory of their own, and ONNX Runtime's name of that device."""

FLOAT = "tensor(float)"
"""ONNX Runtime's name of float32."""

Shape = tuple[int | str | None, ...]
"""A number is a fixed dimension; a name or None is a dynamic one."""

Arrays = Mapping[str, NDArray[np.generic]]
"""Arrays by the name of the input."""

MEMORY = 8 * 2**30
"""Bytes that loading and a first run may allocate; less on a small machine."""
PATIENCE = 300.0
"""Seconds that a first run may take; the largest transformers take a minute on a small or busy machine."""


class Graph:
    """One loaded ONNX file. One thread at a time may call `run`."""

    def __init__(self, path: Path, provider: str = "auto", threads: int = 1) -> None:
        """Check and load the file. Raises `ModelError`, also if the configured provider is unavailable."""
        self.metadata = read_metadata(path)
        self._session = _load(path, provider, threads)
        self.provider: str = self._session.get_providers()[0]
        """The execution provider in use."""
        if provider != "auto" and self.provider != PROVIDERS[provider]:
            raise ModelError(
                f"provider {provider} is configured, but ONNX Runtime loaded {self.provider}: "
                "check the driver, or set model.provider to auto"
            )
        self.inputs = _ports(path, self._session.get_inputs())
        """ONNX Runtime's name of the type, and the shape, by name."""
        self.outputs = _ports(path, self._session.get_outputs())
        self._options = ort.RunOptions()
        device = DEVICES.get(self.provider)
        self._bound = BoundRunner(self._session, device) if device else None

    @property
    def bound(self) -> bool:
        """Whether each shape of the inputs allocates buffers that are kept: callers use few shapes."""
        return self._bound is not None

    def run(self, outputs: Sequence[str], feeds: Arrays) -> list[Samples]:
        """Return these outputs, in this order."""
        if self._bound is not None:
            return self._bound.run(outputs, feeds, self._options)
        answer: list[Samples] = self._session.run(outputs, feeds, self._options)
        return answer

    @contextlib.contextmanager
    def bounded(self) -> Iterator[None]:
        """Limit the memory and the time of a first run inside the context."""
        with _bounded(self.provider), bounded_time(self.terminate):
            yield

    def terminate(self) -> None:
        """Stop the current run, which raises in its thread."""
        self._options.terminate = True


def _ports(path: Path, nodes: Sequence[ort.NodeArg]) -> dict[str, tuple[str, Shape]]:
    try:
        return {node.name: (node.type, tuple(node.shape)) for node in nodes}
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: damaged: invalid name of an axis") from error


def _bounded(provider: str) -> contextlib.AbstractContextManager[None]:
    """Limit memory on the CPU only: GPU drivers reserve hundreds of gigabytes of addresses without using them."""
    return bounded_memory() if provider == PROVIDERS["cpu"] else contextlib.nullcontext()


def _load(path: Path, provider: str, threads: int) -> ort.InferenceSession:
    available = ort.get_available_providers()
    if provider == "auto":
        if PROVIDERS["cuda"] in available:
            try:
                return _start(path, "cuda", threads)
            except ModelError as error:
                log.info("running on the CPU: %s", error)
        return _start(path, "cpu", threads)
    if PROVIDERS[provider] not in available:
        raise ModelError(
            f"provider {provider} is configured, but this build of ONNX Runtime supports only {', '.join(available)}: "
            "install the build for it (extra 'gpu' for cuda and tensorrt)"
        )
    return _start(path, provider, threads)


def _start(path: Path, provider: str, threads: int) -> ort.InferenceSession:
    try:
        with _bounded(PROVIDERS[provider]):
            return open_session(path, provider, threads)
    except Exception as error:  # ONNX Runtime's errors have no common base
        refused = "not a model that ONNX Runtime can load" if provider == "cpu" else f"cannot be loaded on {provider}"
        raise ModelError(f"{path}: {refused}: {plain(error)}") from error


@dataclass(frozen=True, slots=True)
class _Buffers:
    """Buffers on the device for one shape of the inputs."""

    binding: ort.IOBinding
    inputs: Mapping[str, ort.OrtValue]
    outputs: Sequence[ort.OrtValue]


class BoundRunner:
    """Runs one session on buffers that stay on the device. Each new shape allocates, so callers use few."""

    def __init__(self, session: ort.InferenceSession, device: str) -> None:
        """`device`: ONNX Runtime's name of the buffers' device: cuda, cpu."""
        self._session = session
        self._device = device
        self._cached: dict[tuple[object, ...], _Buffers] = {}

    def run(self, outputs: Sequence[str], feeds: Arrays, options: ort.RunOptions) -> list[Samples]:
        """Return these outputs, in this order, copied from the device."""
        key = (*outputs, *(array.shape for array in feeds.values()))
        buffers = self._cached.get(key)
        if buffers is None:
            buffers = self._cached[key] = self._make(outputs, feeds, options)
        for name, array in feeds.items():
            buffers.inputs[name].update_inplace(array)
        self._session.run_with_iobinding(buffers.binding, options)
        return [np.array(value.numpy()) for value in buffers.outputs]

    def _make(self, outputs: Sequence[str], feeds: Arrays, options: ort.RunOptions) -> _Buffers:
        """Allocate the inputs; the first run allocates the outputs, whose shapes are unknown before."""
        binding = self._session.io_binding()
        inputs: dict[str, ort.OrtValue] = {}
        for name, array in feeds.items():
            inputs[name] = ort.OrtValue.ortvalue_from_shape_and_type(array.shape, array.dtype.type, self._device, 0)
            inputs[name].update_inplace(array)
            binding.bind_ortvalue_input(name, inputs[name])
        for name in outputs:
            binding.bind_output(name, self._device)
        self._session.run_with_iobinding(binding, options)
        values = binding.get_outputs()
        binding.clear_binding_outputs()
        for name, value in zip(outputs, values, strict=True):
            binding.bind_ortvalue_output(name, value)
        return _Buffers(binding, inputs, values)


@contextlib.contextmanager
def bounded_memory() -> Iterator[None]:
    """Let allocations in the process fail beyond `MEMORY`, or half of the machine's memory if that is less."""
    page = os.sysconf("SC_PAGE_SIZE")
    budget = min(MEMORY, os.sysconf("SC_PHYS_PAGES") * page // 2)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    try:
        limit = int(Path("/proc/self/statm").read_text().split()[0]) * page + budget
    except OSError:  # not Linux
        yield
        return
    if soft != resource.RLIM_INFINITY:
        limit = min(limit, soft)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextlib.contextmanager
def bounded_time(terminate: Callable[[], None]) -> Iterator[None]:
    """Call `terminate` after `PATIENCE`, and raise `TimeoutError` in place of the error that this causes."""
    timer = threading.Timer(PATIENCE, terminate)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as error:
        if timer.finished.is_set():
            raise TimeoutError(f"it took longer than {PATIENCE:g} s") from error
        raise
    finally:
        timer.cancel()
