"""A graph in ONNX Runtime: named arrays in, arrays out, on the provider that was asked for."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from monitor.classify.binding import Arrays, BoundRunner
from monitor.classify.guard import bounded_memory, bounded_time
from monitor.classify.onnx_file import read_onnx
from monitor.errors import ModelError
from monitor.messages import Samples
from monitor.onnx import PROVIDERS, open_session, ort, plain

log = logging.getLogger(__name__)

DEVICES = {PROVIDERS["cuda"]: "cuda", PROVIDERS["tensorrt"]: "cuda"}
"""Providers that compute in a memory of their own, and what that is called."""

FLOAT = "tensor(float)"
"""ONNX Runtime's word for float32."""

Shape = tuple[int | str | None, ...]
"""A number is fixed; a name, or None, is free."""


class Graph:
    """One loaded ONNX file. `run` may be called from any one thread at a time."""

    def __init__(self, path: Path, provider: str = "auto", threads: int = 1) -> None:
        """Check and load the file. Raises `ModelError`, also when the configured provider cannot be had."""
        self.metadata = read_onnx(path).metadata
        self._session = _load(path, provider, threads)
        self.provider: str = self._session.get_providers()[0]
        """The execution provider that ONNX Runtime really uses."""
        if provider != "auto" and self.provider != PROVIDERS[provider]:
            raise ModelError(
                f"provider {provider} is configured, but ONNX Runtime could only load {self.provider}: "
                "check the driver, or set model.provider to auto"
            )
        self.inputs = _ports(path, self._session.get_inputs())
        """Type, in ONNX Runtime's words, and shape by name."""
        self.outputs = _ports(path, self._session.get_outputs())
        self._options = ort.RunOptions()
        device = DEVICES.get(self.provider)
        self._bound = BoundRunner(self._session, device) if device else None

    @property
    def bound(self) -> bool:
        """Runs on buffers that are kept for each shape of the inputs: callers keep to few shapes."""
        return self._bound is not None

    def run(self, outputs: Sequence[str], feeds: Arrays) -> list[Samples]:
        """These outputs, in their order."""
        if self._bound is not None:
            return self._bound.run(outputs, feeds, self._options)
        answer: list[Samples] = self._session.run(outputs, feeds, self._options)
        return answer

    @contextlib.contextmanager
    def bounded(self) -> Iterator[None]:
        """Bound the memory and the time of a first run within this."""
        with _bounded(self.provider), bounded_time(self.terminate):
            yield

    def terminate(self) -> None:
        """Break off the run that is under way; it raises in its thread."""
        self._options.terminate = True


def _ports(path: Path, nodes: Sequence[ort.NodeArg]) -> dict[str, tuple[str, Shape]]:
    try:
        return {node.name: (node.type, tuple(node.shape)) for node in nodes}
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: damaged: the name of an axis is no text") from error


def _bounded(provider: str) -> contextlib.AbstractContextManager[None]:
    """GPU drivers reserve addresses by the hundred gigabytes without using them."""
    return bounded_memory() if provider == PROVIDERS["cpu"] else contextlib.nullcontext()


def _load(path: Path, provider: str, threads: int) -> ort.InferenceSession:
    available = ort.get_available_providers()
    if provider == "auto":
        if PROVIDERS["cuda"] in available:
            try:
                return _start(path, "cuda", threads)
            except ModelError as error:
                log.info("no GPU is used: %s", error)
        return _start(path, "cpu", threads)
    if PROVIDERS[provider] not in available:
        raise ModelError(
            f"provider {provider} is configured, but this ONNX Runtime knows only {', '.join(available)}: "
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
