"""The state of the display, reduced from the messages of a feed. Pure: without terminal or clock."""

from bisect import insort
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from monitor.messages import (
    SILENCE_DBFS,
    Detection,
    Health,
    Link,
    LinkState,
    Message,
    Phase,
    Snapshot,
    SourceHealth,
    SourceState,
)

LATE = 5.0
"""Seconds of lag from which a source is behind."""
MAX_EVENTS = 500
"""Number of newest events to keep."""
MAX_LEVELS = 600
"""Number of newest levels of a source to keep."""
PEAK_HOLD = timedelta(seconds=2)
"""How long a peak of the level is held."""


@dataclass(slots=True)
class SourceView:
    """One source: its scores, levels and status."""

    name: str
    snapshot: Snapshot | None = None
    health: SourceHealth | None = None
    levels: deque[tuple[datetime, float]] = field(default_factory=lambda: deque(maxlen=MAX_LEVELS))
    """Oldest first, dBFS."""
    since: datetime | None = None
    """When the source entered its state; None if that was before the first status."""
    skipped: int = 0
    """Windows dropped between the last two statuses."""

    @property
    def peak(self) -> float:
        """The highest level of the last `PEAK_HOLD`, dBFS."""
        if not self.levels:
            return SILENCE_DBFS
        since = self.levels[-1][0] - PEAK_HOLD
        return max(level for at, level in self.levels if at >= since)

    @property
    def trouble(self) -> str:
        """Why the source receives no sound, or empty."""
        if self.health is None or self.health.state not in (SourceState.STALLED, SourceState.DEAF, SourceState.LOST):
            return ""
        return f"{self.health.state.upper()}  {self.name}: {self.health.reason or f'check {self.health.device}'}"

    @property
    def notice(self) -> str:
        """The text in place of scores, or empty."""
        if self.health is not None and self.health.state is SourceState.ENDED:
            return "This source has ended"
        if self.health is not None and self.health.state is SourceState.PAUSED:
            return "Paused: not listening"
        return self.trouble or ("" if self.snapshot is not None else "Waiting for the first window")


class ViewState:
    """Everything on the screen, bounded in size."""

    def __init__(self) -> None:
        self.health: Health | None = None
        self.sources: dict[str, SourceView] = {}
        """In the order of the configuration, after the first health message."""
        self.events: list[Detection] = []
        """Newest sound first; the end of a sound replaces its start."""
        self.link: Link | None = None
        """Of a feed through a broker."""
        self._signs = 0
        """Messages since the feed is attached, from the first status on."""
        self._active: dict[tuple[str, str], Detection] = {}
        self._unconfirmed: set[str] = set()
        """Ids of the sounds that were on when the link was lost."""

    @property
    def active(self) -> list[Detection]:
        """Sounds that have started and not ended, newest first."""
        return sorted(self._active.values(), key=lambda detection: detection.started_at, reverse=True)

    @property
    def attached(self) -> bool:
        """Messages of the monitor arrive, as far as the feed knows."""
        return self.link is None or self.link.state is LinkState.ATTACHED

    @property
    def confirmed(self) -> bool:
        """There is a status of now, and all sounds that are on are known.

        The first status through a broker may be an old one that the broker kept; the next message is new.
        """
        return self.attached and self._signs >= (1 if self.link is None else 2)

    def apply(self, message: Message | Link) -> None:
        """Apply one message. Repeated and late messages change nothing."""
        match message:
            case Detection():
                self._apply_detection(message)
            case Snapshot():
                view = self.sources.setdefault(message.source, SourceView(message.source))
                view.snapshot = message
                view.levels.append((message.at, message.level))
                self._signs += self._signs > 0
            case Health():
                self._apply_health(message)
            case Link():
                self.link = message
                if not self.attached:
                    self._signs = 0
                    self._unconfirmed = {sound.id for sound in self._active.values()}

    def _apply_detection(self, detection: Detection) -> None:
        known = next((event for event in self.events if event.id == detection.id), None)
        self._unconfirmed.discard(detection.id)
        if known is None or detection.phase is Phase.ENDED:
            if known is not None:
                self.events.remove(known)
            insort(self.events, detection, key=lambda event: -event.started_at.timestamp())
            del self.events[MAX_EVENTS:]
        elif known.phase is Phase.ENDED or self._followed(known):
            return  # late
        # A label is on at most once for each source: a newer sound also ends one whose end was lost.
        key = (detection.source, detection.label)
        if detection.phase is Phase.STARTED:
            if key not in self._active or self._active[key].started_at <= detection.started_at:
                self._active[key] = detection
            return
        self._active = {
            other: sound
            for other, sound in self._active.items()
            if sound.id != detection.id and (other != key or sound.started_at > detection.started_at)
        }

    def _followed(self, sound: Detection) -> bool:
        """Whether the same source had a newer sound of this label: then this one has ended."""
        return any(
            (event.source, event.label) == (sound.source, sound.label) and event.started_at > sound.started_at
            for event in self.events
        )

    def _apply_health(self, health: Health) -> None:
        before = self.health
        if self.attached:
            self._signs += 1
            self._active = {key: sound for key, sound in self._active.items() if sound.id not in self._unconfirmed}
            self._unconfirmed.clear()
        if before is not None and health.uptime < before.uptime:
            self._active.clear()  # the monitor restarted: no sound is on
            before = None
        self.health = health
        known = self.sources
        self.sources = {}
        for source in health.sources:
            view = known.get(source.source, SourceView(source.source))
            last, view.health = view.health, source
            if last is not None and source.state is not last.state:
                view.since = health.at
            view.skipped = source.windows_dropped - last.windows_dropped if before is not None and last else 0
            if source.state in (SourceState.LOST, SourceState.PAUSED):  # no sound is on
                view.snapshot = None
                view.levels.clear()
                self._active = {key: other for key, other in self._active.items() if other.source != source.source}
            self.sources[source.source] = view
