"""The path of the data: from sources, through the model and the rules, to detections."""

import asyncio
import logging
import os
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

import numpy as np
from msgspec.structs import replace

from monitor.audio.level import dbfs
from monitor.audio.source import Source
from monitor.classify.classifier import Classifier
from monitor.control.settings import Settings
from monitor.detect.tracker import Smoother, Tracker
from monitor.hub import Hub
from monitor.messages import (
    Detection,
    EpochEnd,
    LabelScore,
    ModelCard,
    Phase,
    Rule,
    Scores,
    Snapshot,
    Transition,
    Window,
)

TOP = 12
"""Labels in a snapshot."""
LIVE_SMOOTHING = 0.4
"""Time constant of the scores in a snapshot, seconds."""

log = logging.getLogger(__name__)


class DetectionSink(Protocol):
    """Where every detection is recorded, and from where it is passed on."""

    def record(self, detection: Detection) -> None:
        """Take it in; must not block."""


async def due(sources: Sequence[Source], most: int) -> AsyncIterator[list[Window | EpochEnd]]:
    """Yield the next windows, at most `most`, of one source after another, until all sources have ended.

    No more than one batch is taken at a time: the windows of a machine that is too slow would grow old in a queue,
    while a source drops them for newer ones. While no source has one, yields an empty list several times a second.
    """
    turn = 0
    while True:
        items: list[Window | EpochEnd] = []
        for _ in sources:
            if len(items) >= most:
                break
            items += sources[turn % len(sources)].poll(most - len(items))
            turn += 1
        if items:
            yield items
            await asyncio.sleep(0)
        elif all(source.done for source in sources):
            return
        else:
            await asyncio.sleep(min(source.due_in for source in sources))
            yield []


class SourceTrack:
    """Turns the scores of one source into messages."""

    def __init__(self, source: str, node: str, card: ModelCard, rules: Sequence[Rule], hop: int) -> None:
        """`hop` in samples."""
        self._source, self._node, self._card, self._hop = source, node, card, hop
        self._classes = {rule.label: rule.classes for rule in rules}
        self._tracker = Tracker(rules, card.sample_rate, hop)
        self._live = Smoother(np.full(len(card.labels), LIVE_SMOOTHING, np.float32))
        self._started: dict[str, Detection] = {}
        self._revised: Sequence[Rule] | None = None

    def revise(self, rules: Sequence[Rule]) -> None:
        """Apply these rules from the next window on."""
        self._revised = rules

    def update(self, window: Window, scores: Scores) -> list[Detection]:
        """The detections that start or end with these scores."""
        changes: list[Transition] = []
        if self._revised is not None:
            changes += self._tracker.revise(self._revised)
            self._revised = None
        changes += self._tracker.update(window, scores)
        return [self._detection(change, window.utc) for change in changes]

    def finish(self, end: EpochEnd) -> list[Detection]:
        """The detections that end with the epoch."""
        return [self._detection(change, end.utc) for change in self._tracker.finish(end.end)]

    def snapshot(self, window: Window, scores: Scores) -> Snapshot:
        """The current scores, smoothed for the eye."""
        live = self._live.update(scores.probabilities, self._hop / self._card.sample_rate)
        top = np.argpartition(live, -min(TOP, len(live)))[-TOP:]
        active = {max(self._classes[label], key=lambda index: live[index]) for label in self._tracker.active}
        return Snapshot(
            at=window.utc(window.end),
            source=self._source,
            model=self._card.name,
            level=round(dbfs(window.samples[-self._hop :]), 1),
            labels=tuple(
                LabelScore(self._card.labels[i], round(float(live[i]), 4), i in active)
                for i in sorted(map(int, top), key=lambda i: -live[i])
            ),
        )

    def _detection(self, change: Transition, utc: Callable[[int], datetime]) -> Detection:
        if change.phase is Phase.STARTED:
            detection = Detection(
                id=time_ordered_id(),
                node=self._node,
                source=self._source,
                model=self._card.name,
                label=change.label,
                phase=Phase.STARTED,
                started_at=utc(change.start),
                score=change.score,
                peak=change.peak,
            )
            self._started[change.label] = detection
            return detection
        started = self._started.pop(change.label)
        samples = (change.end or change.start) - change.start  # the wall clock may have been set in between
        ended_at = started.started_at + timedelta(seconds=max(0, samples) / self._card.sample_rate)
        return replace(started, phase=Phase.ENDED, ended_at=ended_at, score=change.score, peak=change.peak)


class Pipeline:
    """All sources through one model; detections go to the journal, snapshots to the hub."""

    def __init__(
        self,
        sources: Sequence[Source],
        classifier: Classifier,
        tracks: dict[str, SourceTrack],
        journal: DetectionSink,
        hub: Hub,
    ) -> None:
        self._sources = {source.name: source for source in sources}
        self._classifier, self._tracks, self._journal, self._hub = classifier, tracks, journal, hub
        self._batch = classifier.batch
        self.on_progress: Callable[[], None] = lambda: None
        """Called several times a second while windows are analysed, or none is due; must not block."""

    def apply(self, settings: Settings) -> None:
        """Pause or resume all sources, and apply the rules in force from the next window on."""
        for source in self._sources.values():
            source.pause(settings.choices.paused)
        for track in self._tracks.values():
            track.revise(settings.rules)

    async def run(self) -> None:
        """Run until all sources have ended."""
        async for items in due(list(self._sources.values()), self._batch):
            self.on_progress()
            windows = [item for item in items if isinstance(item, Window)]
            answers = iter(await self._classifier.run(windows))
            for item in items:
                track = self._tracks[item.source]
                if isinstance(item, Window):
                    scores = next(answers)
                    self._record(track.update(item, scores))
                    self._show(item, scores)
                else:
                    self._record(track.finish(item))

    def _show(self, window: Window, scores: Scores) -> None:
        if self._hub.wanted(Snapshot):
            self._hub.publish(self._tracks[window.source].snapshot(window, scores))
        lag = (datetime.now(UTC) - window.utc(window.end)).total_seconds()
        self._sources[window.source].analysed(max(0.0, lag))  # an epoch's last window may end in padding, in the future

    def _record(self, detections: Sequence[Detection]) -> None:
        for each in detections:
            log.info("%s: %s %s (score %.2f)", each.source, each.label, each.phase.value, each.score)
            self._journal.record(each)


def time_ordered_id() -> str:
    """A UUID of version 7 (RFC 9562): 48 bits of milliseconds, then random, so that ids sort by time."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))
