"""The live pipeline over a file, as fast as possible: the same windows, model and decisions."""

import logging
import math
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.audio.inputs.media import Media
from monitor.audio.inputs.pcm import open_pcm, read_pcm
from monitor.audio.signal import Gain, Signal
from monitor.audio.spec import parse_spec
from monitor.audio.timeline import TimedBlock, minutes
from monitor.audio.windows import Grid, Windower
from monitor.classify.classifier import Classifier
from monitor.config.schema import Channel, Decibels
from monitor.detect.tracker import Tracker
from monitor.errors import ConfigError, SourceError
from monitor.messages import EpochEnd, ModelCard, Phase, Rule, Samples, Scores, Transition, Window

log = logging.getLogger(__name__)

BEGINNING = datetime.fromtimestamp(0, UTC)
"""The time of a file's beginning."""
QUIET = 10 ** (-35 / 20)
"""Highest sample of a file below which sounds are easily missed: -35 dBFS."""


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
    failure: SourceError | None = None
    """Why the rest of the file could not be read; None for a whole file."""


@dataclass(frozen=True, slots=True)
class Listening:
    """What to listen to in a file."""

    track: int | None = None
    """Which of several audio tracks, from 1; None for the file's default."""
    channel: Channel = "mix"
    gain: Decibels = 0.0
    """Decibels."""


@dataclass(slots=True)
class _Input:
    """An open file."""

    duration: float | None
    """Seconds, None if unknown."""
    blocks: Generator[TimedBlock, None, None]
    failure: SourceError | None = None
    """Why the rest could not be read; set at the end."""


async def analyze(
    path: str,
    classifier: Classifier,
    rules: Sequence[Rule],
    hop: float,
    progress: Callable[[float, float | None], None],
    *,
    keep_scores: bool = False,
    listen: Listening = Listening(),
) -> Analysis:
    """Run a file through the pipeline with a `hop` in seconds. Raises `SourceError` if it has no readable audio.

    `path` is an audio file of any common format, a FIFO, `-` for one on standard input, or raw samples as
    `pcm:PATH[@RATE[xCHANNELS]]`. `progress` is called with the
    seconds done and the seconds in total, None if unknown. Scores take tens of MB per hour of audio; `keep_scores`
    requests them.
    """
    card = classifier.card
    grid = Grid(card.sample_rate, card.window, max(1, round(hop * card.sample_rate)))
    audio = _open_input(path, listen.track)
    tracker = Tracker(rules, grid.rate, grid.hop)
    book = _Book(path, card.name)
    kept: list[tuple[float, Scores]] = []
    items = _cut(audio, path, grid, listen)
    while batch := list(islice(items, classifier.batch)):
        answers = iter(await classifier.run([item for item in batch if isinstance(item, Window)]))
        for item in batch:
            if isinstance(item, EpochEnd):
                book.enter(tracker.finish(item.end))
                book.close(item)
                continue
            scores = next(answers)
            book.enter(tracker.update(item, scores))
            if keep_scores:
                kept.append((_seconds(item.utc(item.end)), scores))
        progress(_seconds(batch[-1].utc(batch[-1].end)), audio.duration)
    return Analysis(book.found, _stack(kept, card) if keep_scores else None, audio.failure)


def _open_input(location: str, track: int | None) -> _Input:
    if not location.startswith("pcm:"):
        media = Media(location, pipes=True, track=track)
        return _Input(media.duration, media.timed())
    try:
        spec = parse_spec(location)
    except ConfigError as error:
        reason = str(error).partition("\n")[0]
        raise SourceError(f"{reason}; use pcm:PATH[@RATE[xCHANNELS]], for example pcm:night.raw@48000x2") from error
    return _Input(None, _timed(read_pcm(open_pcm(spec.target), spec.channels), spec.rate))


def _timed(blocks: Generator[Samples, None, None], rate: int) -> Generator[TimedBlock, None, None]:
    """Place blocks without timestamps one after the other."""
    at, new = 0.0, True
    with closing(blocks):
        for samples in blocks:
            block = TimedBlock(samples, rate, at, new)
            at, new = block.end, False
            yield block


def _cut(audio: _Input, path: str, grid: Grid, listen: Listening) -> Iterator[Window | EpochEnd]:
    """Yield all windows of a file, decoded on demand; each hole and each change of format begins a new epoch."""
    piece: _Piece | None = None
    loudest = 0.0
    number, note, gain = 0, "", Gain(grid.rate, listen.gain)
    with closing(audio.blocks) as blocks:
        while True:
            try:
                block = next(blocks, None)
            except SourceError as error:
                audio.failure = error
                block = None
            if piece is not None and (block is None or block.new):
                yield from piece.finish()
                loudest = max(loudest, piece.loudest)
            if block is None:
                break
            if block.new or piece is None:
                if isinstance(listen.channel, int) and listen.channel > block.samples.shape[1]:
                    where = f"no channel {listen.channel} from {minutes(block.at)}, only {block.samples.shape[1]}"
                    audio.failure = SourceError(f"{path}: {where}")
                    if piece is None:
                        raise audio.failure
                    break
                piece = _Piece(path, number, block, grid, listen, gain)
                number += 1
            yield from piece.push(block.samples)
            if piece.note not in ("", note):
                note = piece.note
                log.warning("%s: %s from %s", path, note, minutes(block.at))

    if 0 < loudest < QUIET and listen.gain == 0:
        level = 20 * math.log10(loudest)
        log.warning("%s: very quiet, at most %.0f dBFS: if a sound is missing, try --gain auto", path, level)


class _Piece:
    """One uninterrupted piece of a file."""

    def __init__(self, path: str, number: int, first: TimedBlock, grid: Grid, listen: Listening, gain: Gain) -> None:
        self._path, self._number, self._rate, self._start = path, number, grid.rate, first.at
        self._windower = Windower(path, number, grid, self._utc)
        self.loudest = 0.0
        """Highest sample, without a constant offset."""
        self._signal = Signal(first.rate, grid.rate, listen.channel, gain)

    @property
    def note(self) -> str:
        """What is wrong with the channels, for a person."""
        return self._signal.note

    def push(self, samples: Samples) -> Iterator[Window]:
        """Add float32[n, channels] and yield the windows that are complete."""
        if len(samples):
            yield from self._add(self._signal.push(samples))

    def finish(self) -> Iterator[Window | EpochEnd]:
        """Yield the last windows, and the end."""
        yield from self._add(self._signal.flush())
        self._windower.finish()
        yield from self._add(np.zeros(0, np.float32))
        end = self._windower.length
        yield EpochEnd(self._path, self._number, end, self._rate, self._utc(end / self._rate))

    def _add(self, samples: Samples) -> Iterator[Window]:
        if len(samples):
            self.loudest = max(self.loudest, float(samples.max()), -float(samples.min()))
        self._windower.push(samples)
        while (window := self._windower.take()) is not None:
            yield window

    def _utc(self, seconds: float) -> datetime:
        return BEGINNING + timedelta(seconds=self._start + seconds)


def _stack(kept: Sequence[tuple[float, Scores]], card: ModelCard) -> FileScores:
    """`kept`: the end of each window, in seconds, and its scores."""
    embeddings = [scores.embedding for _, scores in kept if scores.embedding is not None]
    return FileScores(
        np.array([end for end, _ in kept], np.float64),
        np.array([scores.probabilities for _, scores in kept], np.float32).reshape(-1, len(card.labels)),
        np.stack(embeddings) if embeddings else None,
    )


def _seconds(time: datetime) -> float:
    return (time - BEGINNING).total_seconds()


class _Book:
    """Pairs the start of each detection with its end."""

    def __init__(self, file: str, model: str) -> None:
        self._file, self._model = os.fsencode(file).decode(errors="replace"), model
        self._open: dict[str, Transition] = {}
        self._pairs: list[tuple[Transition, Transition]] = []
        self.found: list[Found] = []
        """In order of time."""

    def enter(self, changes: Sequence[Transition]) -> None:
        """Enter what a window or the end of an epoch changed."""
        for change in changes:
            if change.phase is Phase.STARTED:
                self._open[change.label] = change
            else:
                self._pairs.append((self._open.pop(change.label), change))

    def close(self, end: EpochEnd) -> None:
        """Add the sounds of an epoch that is over; the silence that fills its last window does not count."""
        for start, over in sorted(self._pairs, key=lambda pair: pair[0].start):
            begins, ends = min(end.end, start.start), min(end.end, over.end or over.start)
            self.found.append(
                Found(
                    file=self._file,
                    label=start.label,
                    start=round(_seconds(end.utc(begins)), 3),
                    end=round(_seconds(end.utc(ends)), 3),
                    score=start.score,
                    peak=over.peak,
                    model=self._model,
                )
            )
        self._pairs.clear()
