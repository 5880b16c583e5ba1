"""The state of the display, reduced from the messages of a feed. Pure: without terminal or clock."""

from bisect import insort
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from monitor.messages import (
    SILENCE_DBFS,
    BrokerState,
    Detection,
    Health,
    Message,
    Phase,
    Snapshot,
    SourceHealth,
    SourceState,
)

MAX_EVENTS = 500
"""Number of newest events to keep."""
MAX_LEVELS = 600
"""Number of newest levels of a source to keep."""
PEAK_HOLD = timedelta(seconds=2)
"""How long a peak of the level is held."""
SILENT_FEED = 5.0
"""Seconds without a message after which the monitor may be gone: it publishes its health every two seconds."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One line of the banner."""

    severe: bool
    """The monitor misses sounds now."""
    text: str


@dataclass(slots=True)
class SourceView:
    """One source: its scores, levels and status."""

    name: str
    snapshot: Snapshot | None = None
    health: SourceHealth | None = None
    levels: deque[tuple[datetime, float]] = field(default_factory=lambda: deque(maxlen=MAX_LEVELS))
    """Oldest first, dBFS."""

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
            return "The recording has ended"
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
        self._active: dict[tuple[str, str], Detection] = {}
        self._skipped = 0
        """Windows dropped between the last two health messages."""

    @property
    def active(self) -> list[Detection]:
        """Sounds that have started and not ended, newest first."""
        return sorted(self._active.values(), key=lambda detection: detection.started_at, reverse=True)

    def apply(self, message: Message) -> None:
        """Apply one message. Repeated and late messages change nothing."""
        match message:
            case Detection():
                self._apply_detection(message)
            case Snapshot():
                view = self.sources.setdefault(message.source, SourceView(message.source))
                view.snapshot = message
                view.levels.append((message.at, message.level))
            case Health():
                self._apply_health(message)

    def troubles(self, silent: float) -> Iterator[Trouble]:
        """Yield current problems, worst first; `silent` is the time since the last message, seconds."""
        if silent >= SILENT_FEED:
            yield Trouble(True, f"NO MESSAGES from the monitor for {silent:.0f} s: is it still running?")
        for view in self.sources.values():
            if view.trouble:
                yield Trouble(True, view.trouble)
        if self.health is None:
            return
        if self._skipped > 0:
            yield Trouble(
                True, f"TOO SLOW  {self.health.model} cannot keep up: {self._skipped} windows skipped just now"
            )
        if self.health.log_problem:
            waiting = self.health.log_waiting
            yield Trouble(False, f"EVENT LOG  {self.health.log_problem}: {waiting} detections wait in memory")
        if self.health.broker is BrokerState.FAILED:
            yield Trouble(False, f"MQTT  {self.health.broker_detail or 'cannot reach the broker'}")

    def _apply_detection(self, detection: Detection) -> None:
        known = next((event for event in self.events if event.id == detection.id), None)
        if known is not None:
            if detection.phase is Phase.STARTED:
                return  # repeated, or late
            self.events.remove(known)
        insort(self.events, detection, key=lambda event: -event.started_at.timestamp())
        del self.events[MAX_EVENTS:]
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

    def _apply_health(self, health: Health) -> None:
        before = self.health
        if before is not None and health.uptime < before.uptime:
            self._active.clear()  # the monitor restarted: no sound is on
            before = None
        self._skipped = _dropped(health) - _dropped(before) if before is not None else 0
        self.health = health
        known = self.sources
        self.sources = {}
        for source in health.sources:
            view = known.get(source.source, SourceView(source.source))
            view.health = source
            if source.state in (SourceState.LOST, SourceState.PAUSED):  # no sound is on
                view.snapshot = None
                view.levels.clear()
                self._active = {key: other for key, other in self._active.items() if other.source != source.source}
            self.sources[source.source] = view


def _dropped(health: Health) -> int:
    return sum(source.windows_dropped for source in health.sources)
