"""The live pipeline over a file, as fast as it goes: the same windows, model and decisions."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.audio.media import Media
from monitor.audio.resample import Resampler
from monitor.audio.windows import Grid, Windower
from monitor.classify.classifier import Classifier
from monitor.detect.tracker import Tracker
from monitor.messages import ModelCard, Phase, Rule, Samples, Scores, Transition, Window


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One sound in a file."""

    file: str
    label: str
    start: float
    """Seconds in the file."""
    end: float
    """Seconds in the file."""
    score: float
    """The score that decided, in [0, 1]."""
    peak: float
    """The highest raw score, in [0, 1]."""
    model: str


@dataclass(frozen=True, slots=True)
class FileScores:
    """What the model said about each window of a file."""

    times: NDArray[np.float64]
    """float64[n]: ends of the windows, seconds."""
    probabilities: Samples
    """float32[n, classes]."""
    embeddings: Samples | None
    """float32[n, dims], where the model has them."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """All that was found in a file, in order of time."""

    found: list[Found]
    scores: FileScores | None
    """Where they were to be kept."""


async def analyze(
    path: str,
    classifier: Classifier,
    rules: Sequence[Rule],
    hop: float,
    progress: Callable[[float, float | None], None],
    *,
    keep_scores: bool = False,
) -> Analysis:
    """Run a file through the pipeline with a `hop` in seconds. Raises `SourceError`.

    `progress` hears of the seconds done and, where the file tells, the seconds there are. Scores take memory, some
    tens of MB an hour: they are kept only if asked for.
    """
    card = classifier.card
    grid = Grid(card.sample_rate, card.window, max(1, round(hop * card.sample_rate)))
    media = Media(path)
    tracker, book = Tracker(rules, grid.rate, grid.hop), _Book(path, card.name, grid.rate)
    kept: list[tuple[int, Scores]] = []
    windower = Windower(path, 0, grid, _file_time)
    windows = _windows(media, windower, grid.rate)
    while batch := list(islice(windows, classifier.batch)):
        for window, scores in zip(batch, await classifier.run(batch), strict=True):
            book.enter(tracker.update(window, scores))
            if keep_scores:
                kept.append((window.end, scores))
        progress(batch[-1].end / grid.rate, media.duration)
    book.enter(tracker.finish(windower.length))
    return Analysis(book.closed(windower.length), _stack(kept, card) if keep_scores else None)


def _windows(media: Media, windower: Windower, rate: int) -> Iterator[Window]:
    """All windows of a file, decoded as they are asked for."""
    resampler = Resampler(media.rate, rate)
    with closing(media.blocks()) as blocks:
        for block in blocks:
            windower.push(resampler.push(block))
            while (window := windower.take()) is not None:
                yield window
    windower.push(resampler.push(np.zeros((0, media.channels), np.float32), last=True))
    windower.finish()
    while (window := windower.take()) is not None:
        yield window


def _stack(kept: Sequence[tuple[int, Scores]], card: ModelCard) -> FileScores:
    """`kept`: the end of each window, in samples, and its scores."""
    embeddings = [scores.embedding for _, scores in kept if scores.embedding is not None]
    return FileScores(
        np.array([end / card.sample_rate for end, _ in kept], np.float64),
        np.array([scores.probabilities for _, scores in kept], np.float32).reshape(-1, len(card.labels)),
        np.stack(embeddings) if embeddings else None,
    )


def _file_time(seconds: float) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds)


class _Book:
    """Pairs starts with ends."""

    def __init__(self, file: str, model: str, rate: int) -> None:
        self._file, self._model, self._rate = os.fsencode(file).decode(errors="replace"), model, rate
        self._open: dict[str, Transition] = {}
        self._pairs: list[tuple[Transition, Transition]] = []

    def enter(self, changes: Sequence[Transition]) -> None:
        for change in changes:
            if change.phase is Phase.STARTED:
                self._open[change.label] = change
            else:
                self._pairs.append((self._open.pop(change.label), change))

    def closed(self, length: int) -> list[Found]:
        """Everything found in a file of this many samples; the silence that fills its last window is none of it."""
        return [
            Found(
                file=self._file,
                label=start.label,
                start=round(min(length, start.start) / self._rate, 3),
                end=round(min(length, end.end or end.start) / self._rate, 3),
                score=start.score,
                peak=end.peak,
                model=self._model,
            )
            for start, end in sorted(self._pairs, key=lambda pair: pair[0].start)
        ]
