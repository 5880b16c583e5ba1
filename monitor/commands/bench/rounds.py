"""Who is measured when: the models take turns, so that whatever else the machine does meets all of them."""

import statistics
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from monitor.commands.bench.figures import Figures, Loaded, Memory

BATCHES = (1, 2, 4, 8, 16, 32, 64)
LEAST = 3
"""Times that one window is run, however long it takes."""
SLICE = 0.1
"""Seconds that a model may run before it is another's turn."""
REPEATS = 3
"""Times that each batch is run."""
SCALING = 0.5
"""Share of the time that is for batches."""


class Runner(Protocol):
    """What is measured."""

    def run(self, batch: int) -> float:
        """Seconds of one inference."""

    def memory(self) -> Memory:
        """What the model takes by now."""

    def front_end(self) -> float | None:
        """The share of the front end."""


def measure(
    runners: Sequence[tuple[Loaded, Runner]],
    seconds: float,
    hop: float,
    threads: int,
    most: int,
    between: Callable[[str], None],
) -> list[Figures]:
    """Measure for about `seconds` each; `most`: the largest batch that counts for the streams.

    `between` hears of each turn before it begins.
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
    """Seconds of each inference of one window, by model."""
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
    """Windows a second by batch size, by model: what fits into `seconds` each."""
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
