"""The figures as tables for people, or as JSON."""

from collections.abc import Sequence

import msgspec

from monitor.commands.bench.figures import Figures
from monitor.commands.bench.machine import Machine
from monitor.commands.bench.rounds import BATCHES
from monitor.commands.output import print_table

UNKNOWN = "-"


def print_report(machine: Machine, figures: Sequence[Figures], *, as_json: bool) -> None:
    """Print everything that was measured."""
    if as_json:
        print(msgspec.json.format(msgspec.json.encode({"machine": machine, "models": figures})).decode())
        return
    print_table(
        ("model", "window", "load", "memory", "peak", "p50", "p95", "spread", "front end", "streams/core"),
        [_row(one) for one in figures],
    )
    print("\nwindows a second, so many at once:")
    print_table(("model", *map(str, BATCHES)), [_rates(one) for one in figures])
    print(f"\n{_machine(machine)}")


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


def _machine(machine: Machine) -> str:
    return (
        f"{machine.processor}, {machine.cores} cores, ONNX Runtime {machine.runtime}, {machine.threads} thread"
        f"{'s' * (machine.threads > 1)}. Streams: a window each {machine.hop:g} s, at most {machine.batch} at once, "
        f"inference alone.\nThe same work took up to {machine.noise:.0%} longer at times (95th percentile over "
        "median): smaller differences say nothing."
    )
