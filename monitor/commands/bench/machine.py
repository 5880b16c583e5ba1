"""The machine that the figures are of, and how steady it was meanwhile."""

import hashlib
import os
import platform
import re
import time
from importlib import metadata
from pathlib import Path

import msgspec
import numpy as np

WORK = bytes(1 << 22)
"""What is hashed to see how steady the machine is: a few milliseconds of one core, always the same."""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where it was measured."""

    processor: str
    cores: int
    """That this program may use."""
    system: str
    runtime: str
    """ONNX Runtime's version."""
    threads: int
    """Of one inference."""
    hop: float
    """Seconds between two windows."""
    batch: int
    """Most windows in one inference, as configured."""
    noise: float
    """How much longer the same work took at the 95th percentile than in the median, as a share of that."""
    load: float
    """Programs that wanted a core in the last minute, this one among them."""


class Pulse:
    """Does the same small work again and again, to see how steady the machine is."""

    def __init__(self) -> None:
        self._times: list[float] = []

    def beat(self) -> None:
        """Do it once."""
        begun = time.perf_counter()
        hashlib.sha256(WORK).digest()
        self._times.append(time.perf_counter() - begun)

    @property
    def noise(self) -> float:
        """How much longer it took at the 95th percentile than in the median, as a share of that."""
        median, high = np.quantile(self._times, (0.5, 0.95)).tolist()
        return float(high / median - 1)


def describe(pulse: Pulse, threads: int, hop: float, batch: int) -> Machine:
    """This machine, after the measurement."""
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        system=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        runtime=_runtime(),
        threads=threads,
        hop=hop,
        batch=batch,
        noise=pulse.noise,
        load=os.getloadavg()[0],
    )


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    named = re.search(r"^(?:model name|Model)\s*: (.+)$", text, re.MULTILINE)
    return named[1].strip() if named else platform.processor() or platform.machine()


def _runtime() -> str:
    for package in ("onnxruntime", "onnxruntime-gpu"):
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return "unknown"
