"""Measure models in turns, so that other load on the machine affects all of them."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec
import numpy as np

BATCHES = (1, 2, 4, 8, 16, 32, 64)
LEAST = 3
"""Runs of a single window, however long they take."""
SLICE = 0.1
"""Seconds that a model runs before it is another's turn."""
REPEATS = 3
"""Runs of each batch."""
SCALING = 0.5
"""Share of the time for batches."""


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model as soon as it can answer."""

    name: str
    path: str
    provider: str
    """ONNX Runtime's name of the provider that runs the model."""
    size: int
    """Bytes of the file."""
    window: float
    """Seconds."""
    load: float
    """Seconds from nothing to the first answer, the checks of the file included."""


class Memory(msgspec.Struct, frozen=True):
    """Bytes beyond the process without a model; None if the system does not report them."""

    now: int | None
    peak: int | None


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was measured of one model."""

    model: Loaded
    memory: Memory
    """After single windows."""
    p50: float
    """Median seconds of a single window."""
    p95: float
    """Seconds of a single window at the 95th percentile."""
    spread: float
    """Width of the middle half of those times, as a share of the median."""
    runs: int
    """Number of single windows."""
    windows_per_second: Mapping[int, float]
    """By batch size, in the median; sizes that do not fit into the time are left out."""
    streams_per_core: float
    """Streams that one thread can process in real time at the hop, with the best batch that is configured."""
    front_end: float | None
    """Share of the log-mel front end in an answer, in [0, 1]; None if it cannot be separated."""


class Runner(Protocol):
    """A model to measure."""

    def run(self, batch: int) -> float:
        """Run one inference; return its seconds."""

    def memory(self) -> Memory:
        """Return the memory that the model takes now."""

    def front_end(self) -> float | None:
        """Return the share of the front end."""


def measure(
    runners: Sequence[tuple[Loaded, Runner]],
    seconds: float,
    hop: float,
    threads: int,
    most: int,
    between: Callable[[str], None],
) -> list[Figures]:
    """Measure each model for about `seconds`.

    `hop`: seconds between two windows; `threads`: of one inference; `most`: the largest batch that counts for the
    streams. `between` is called with a description of each turn before it begins.
    """
    singles = _single_windows(runners, (1 - SCALING) * seconds, between)
    memories = [runner.memory() for _, runner in runners]
    batches = _batches(runners, [statistics.median(times) for times in singles], SCALING * seconds, between)
    figures: list[Figures] = []
    for (loaded, runner), times, memory, rates in zip(runners, singles, memories, batches, strict=True):
        between(f"{loaded.name}: front end")
        low, p50, high, p95 = np.quantile(times, (0.25, 0.5, 0.75, 0.95)).tolist()
        best = max(rate for batch, rate in rates.items() if batch <= most)
        figures.append(
            Figures(
                model=loaded,
                memory=memory,
                p50=p50,
                p95=p95,
                spread=(high - low) / p50,
                runs=len(times),
                windows_per_second=rates,
                streams_per_core=best * hop / threads,
                front_end=runner.front_end(),
            )
        )
    return figures


def _single_windows(
    runners: Sequence[tuple[Loaded, Runner]], seconds: float, between: Callable[[str], None]
) -> list[list[float]]:
    """Seconds of each inference of one window, for each model."""
    spent: list[list[float]] = [[] for _ in runners]
    while waiting := [n for n, times in enumerate(spent) if sum(times) < seconds or len(times) < LEAST]:
        for number in waiting:
            loaded, runner = runners[number]
            between(f"{loaded.name}: one window")
            until = sum(spent[number]) + SLICE
            while sum(spent[number]) < until:
                spent[number].append(runner.run(1))
    return spent


def _batches(
    runners: Sequence[tuple[Loaded, Runner]],
    p50: Sequence[float],
    seconds: float,
    between: Callable[[str], None],
) -> list[dict[int, float]]:
    """Windows per second by batch size, for each model: the sizes that fit into `seconds`."""
    rates = [{1: 1 / single} for single in p50]
    left = [seconds for _ in runners]
    for batch in BATCHES[1:]:
        spent: list[list[float]] = [[] for _ in runners]
        for _ in range(REPEATS):
            for number, (loaded, runner) in enumerate(runners):
                if batch // 2 in rates[number] and batch / rates[number][batch // 2] <= left[number]:
                    between(f"{loaded.name}: {batch} windows at once")
                    spent[number].append(runner.run(batch))
                    left[number] -= spent[number][-1]
        for number, times in enumerate(spent):
            if times:
                rates[number][batch] = batch / statistics.median(times)
    return rates
