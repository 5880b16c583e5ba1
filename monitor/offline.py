"""The live pipeline over a file, as fast as possible: the same windows, model and decisions."""

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.audio.media import Media
from monitor.audio.pcm import open_pcm, read_pcm
from monitor.audio.resample import Resampler
from monitor.audio.spec import parse_spec
from monitor.audio.windows import Grid, Windower
from monitor.classify.classifier import Classifier
from monitor.detect.rules import used_cadences
from monitor.detect.tracker import Tracker
from monitor.errors import ConfigError, SourceError
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
    """Score that met the rule, in [0, 1]."""
    peak: float
    """Highest raw score, in [0, 1]."""
    model: str


@dataclass(frozen=True, slots=True)
class FileScores:
    """The model's scores of each window of a file."""

    times: NDArray[np.float64]
    """float64[n]: ends of the windows, seconds."""
    probabilities: Samples
    """float32[n, classes]."""
    embeddings: Samples | None
    """float32[n, dims]; None if the model has none."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """Result for one file."""

    found: list[Found]
    """In order of time."""
    scores: FileScores | None
    """None unless requested."""


@dataclass(frozen=True, slots=True)
class _Input:
    """An open file."""

    rate: int
    """Hertz."""
    channels: int
    duration: float | None
    """Seconds, None if unknown."""
    blocks: Generator[Samples, None, None]
    """float32[n, channels] each."""


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

    `path` is an audio file of any common format, a FIFO, `-` for one on standard input, or raw samples as
    `pcm:PATH[@RATE[xCHANNELS]]`. `progress` is called with the seconds done and the seconds in total, None if unknown.
    Scores take tens of MB per hour of audio; `keep_scores` requests them.
    """
    card = classifier.card
    grid = Grid(card.sample_rate, card.window, max(1, round(hop * card.sample_rate)))
    audio = _open_input(path)
    tracker = Tracker(rules, grid.rate, grid.hop, used_cadences(rules, card.labels))
    book = _Book(path, card.name, grid.rate)
    kept: list[tuple[int, Scores]] = []
    windower = Windower(path, 0, grid, _file_time)
    windows = _windows(audio, windower, grid.rate)
    while batch := list(islice(windows, classifier.batch)):
        for window, scores in zip(batch, await classifier.run(batch), strict=True):
            book.enter(tracker.update(window, scores))
            if keep_scores:
                kept.append((window.end, scores))
        progress(batch[-1].end / grid.rate, audio.duration)
    book.enter(tracker.finish(windower.length))
    return Analysis(book.closed(windower.length), _stack(kept, card) if keep_scores else None)


def _open_input(location: str) -> _Input:
    if not location.startswith("pcm:"):
        media = Media(location, pipes=True)
        return _Input(media.rate, media.channels, media.duration, media.blocks())
    try:
        spec = parse_spec(location)
    except ConfigError as error:
        reason = str(error).partition("\n")[0]
        raise SourceError(f"{reason}; use pcm:PATH[@RATE[xCHANNELS]], for example pcm:night.raw@48000x2") from error
    return _Input(spec.rate, spec.channels, None, read_pcm(open_pcm(spec.target), spec.channels))


def _windows(audio: _Input, windower: Windower, rate: int) -> Iterator[Window]:
    """Yield all windows of a file, decoded on demand."""
    resampler = Resampler(audio.rate, rate)
    with closing(audio.blocks) as blocks:
        for block in blocks:
            windower.push(resampler.push(block))
            while (window := windower.take()) is not None:
                yield window
    windower.push(resampler.push(np.zeros((0, audio.channels), np.float32), last=True))
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
    """Pairs the start of each detection with its end."""

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
        """Return the pairs in a file of `length` samples; the silence that fills its last window does not count."""
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
