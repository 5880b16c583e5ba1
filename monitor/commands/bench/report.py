"""The machine that was measured on, and the figures as tables or as JSON."""

import hashlib
import os
import platform
import re
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import msgspec
import numpy as np

from monitor.commands.bench.rounds import BATCHES, Figures
from monitor.commands.output import print_table

UNKNOWN = "-"
"""A figure that is missing."""
WORK = bytes(1 << 22)
"""Data to hash: a few milliseconds of one core, always the same work."""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The machine and the settings that the figures hold for."""

    processor: str
    cores: int
    """Cores that this program may use."""
    system: str
    runtime: str
    """ONNX Runtime's version."""
    threads: int
    """Threads of one inference."""
    hop: float
    """Seconds between two windows."""
    batch: int
    """Most windows in one inference, as configured."""
    noise: float
    """How much longer the same work took at the 95th percentile than in the median, as a share of the median."""
    load: float
    """Average number of runnable programs in the last minute, including this one."""


class Pulse:
    """Does the same small work repeatedly, to measure how steady the machine is."""

    def __init__(self) -> None:
        self._times: list[float] = []

    def beat(self) -> None:
        """Do the work once."""
        begun = time.perf_counter()
        hashlib.sha256(WORK).digest()
        self._times.append(time.perf_counter() - begun)

    @property
    def noise(self) -> float:
        """How much longer the work took at the 95th percentile than in the median, as a share of the median."""
        median, high = np.quantile(self._times, (0.5, 0.95)).tolist()
        return float(high / median - 1)


def describe_machine(pulse: Pulse, threads: int, hop: float, batch: int) -> Machine:
    """Describe this machine after the measurement."""
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


def print_report(machine: Machine, figures: Sequence[Figures], *, as_json: bool) -> None:
    """Print all figures."""
    if as_json:
        print(msgspec.json.format(msgspec.json.encode({"machine": machine, "models": figures})).decode())
        return
    print_table(
        ("model", "window", "load", "memory", "peak", "p50", "p95", "spread", "front end", "streams/core"),
        [_row(one) for one in figures],
    )
    print("\nwindows per second, by batch size:")
    print_table(("model", *map(str, BATCHES)), [_rates(one) for one in figures])
    print(f"\n{_machine_text(machine)}")


def _row(one: Figures) -> tuple[str, ...]:
    return (
        one.model.name,
        f"{one.model.window:.3g} s",
        f"{one.model.load:.2f} s",
        _megabytes(one.memory.now),
        _megabytes(one.memory.peak),
        _milliseconds(one.p50),
        _milliseconds(one.p95),
        f"{one.spread:.0%}",
        UNKNOWN if one.front_end is None else f"{one.front_end:.0%}",
        f"{one.streams_per_core:.3g}",
    )


def _rates(one: Figures) -> tuple[str, ...]:
    rates = (one.windows_per_second.get(batch) for batch in BATCHES)
    return one.model.name, *(UNKNOWN if rate is None else f"{rate:.3g}" for rate in rates)


def _megabytes(size: int | None) -> str:
    return UNKNOWN if size is None else f"{size / 1e6:.0f} MB"


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms"


def _machine_text(machine: Machine) -> str:
    return (
        f"{machine.processor}, {machine.cores} cores, ONNX Runtime {machine.runtime}, {machine.threads} thread"
        f"{'s' * (machine.threads > 1)}. Streams: a window every {machine.hop:g} s, at most {machine.batch} at once, "
        f"inference only.\nIdentical work varied by {machine.noise:.0%} (95th percentile over median): smaller "
        "differences are not significant."
    )
