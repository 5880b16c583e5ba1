"""What the display may claim: whether it is quiet, or else what is not known, and what to do. Pure.

Silence is claimed only while every source listens, every window is analysed, every sound is detected as configured, and
the display is known to have missed nothing. Anything else has a sentence in place of "All quiet", a mark in the title,
and in most cases a line in the banner.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from monitor.config.schema import DEFAULT_PROFILE
from monitor.messages import BrokerState, Health, Link, LinkState, SourceState
from monitor.tui import draw
from monitor.tui.state import LATE, SourceView, ViewState

SILENT_FEED = 5.0
"""Seconds without a message after which the monitor may be gone: it publishes its health every two seconds."""

QUIET = "All quiet"

_LINKS = {
    LinkState.WAITING: "NO MONITOR",
    LinkState.OFFLINE: "OFFLINE",
    LinkState.DISCONNECTED: "NO CONNECTION",
}
_NOT_LISTENING = {
    SourceState.OPENING: "no audio has arrived yet",
    SourceState.STALLED: "its audio is not analysed",
    SourceState.DEAF: "it delivers no usable audio",
}
"""What a state means, where it means more than not listening."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One line of the banner."""

    severe: bool
    """The monitor misses sounds now, or the display does."""
    text: str


@dataclass(frozen=True, slots=True)
class Claim:
    """What the display may say while no sound is on."""

    sentences: tuple[str, ...]
    """In place of the sounds; `QUIET` alone, or why silence cannot be claimed."""
    marks: tuple[Trouble, ...]
    """Words for the title, worst first."""
    current: bool = True
    """Messages of the monitor arrive; otherwise the display shows what was."""

    @property
    def quiet(self) -> bool:
        """Whether silence is known."""
        return self.sentences == (QUIET,)


def claim(state: ViewState, silent: float, now: datetime) -> Claim:
    """Return what is known; `silent` is the time since the last message, seconds."""
    if (blind := _blindness(state, silent, now)) is not None:
        return Claim((blind.sentence,), (Trouble(blind.lost, blind.mark),), current=not blind.lost)
    doubts = [doubt for view in state.sources.values() if (doubt := _doubt(view, now)) is not None]
    sentences = [doubt.sentence for doubt in doubts]
    marks = [*_source_mark(doubts, len(state.sources)), *_setting_marks(state.health)]
    if not state.sources:
        sentences.append("The monitor has no source")
    if state.health is not None:
        if state.health.sounds_off:
            sentences.append(f"Switched off: {', '.join(state.health.sounds_off)}")
        if state.health.sounds_changed:
            sentences.append(f"Threshold changed: {', '.join(state.health.sounds_changed)}")
    return Claim(tuple(sentences) or (QUIET,), tuple(marks))


def nothing_yet(state: ViewState) -> str:
    """Return the text in place of events while it is quiet: a remote display knows no earlier ones."""
    if state.link is None or state.link.since is None:
        return "Listening… nothing yet"
    return f"Nothing since {state.link.since.astimezone():%H:%M:%S}, when this display attached"


def troubles(state: ViewState, silent: float, now: datetime) -> Iterator[Trouble]:
    """Yield current problems, worst first; `silent` is the time since the last message, seconds.

    Without messages nothing else is known, so that there is one problem only.
    """
    if (blind := _blindness(state, silent, now)) is not None:
        if blind.lost:
            yield Trouble(True, blind.banner)
        return
    for view in state.sources.values():
        if view.trouble:
            yield Trouble(True, view.trouble)
    health = state.health
    if health is None:
        return
    if (skipped := sum(view.skipped for view in state.sources.values())) > 0:
        yield Trouble(True, f"TOO SLOW  {health.model} cannot keep up: {skipped} windows skipped just now")
    if alarms := [label for label in health.sounds_off if "alarm" in label.lower()]:
        yield Trouble(True, f"SWITCHED OFF  {', '.join(alarms)}")
    if shown := [source.source for source in health.sources if source.demonstration]:
        yield Trouble(False, f"DEMONSTRATION  {', '.join(shown)}: its sounds are not real, and not in the event log")
    if health.log_problem:
        yield Trouble(False, f"EVENT LOG  {health.log_problem}: {health.log_waiting} detections wait in memory")
    if health.broker is BrokerState.FAILED:
        yield Trouble(False, f"MQTT  {health.broker_detail or 'cannot reach the broker'}")


@dataclass(frozen=True, slots=True)
class _Blindness:
    """Why the display knows nothing of the present."""

    mark: str
    sentence: str
    banner: str = ""

    @property
    def lost(self) -> bool:
        """Whether something is wrong; otherwise the first status is on its way."""
        return bool(self.banner)


def _blindness(state: ViewState, silent: float, now: datetime) -> _Blindness | None:
    """Return why the display knows nothing of the present, or None if it does."""
    if state.link is not None and not state.attached:
        return _lost_link(state.link, state.health, now)
    if silent >= SILENT_FEED:
        banner = f"NO MESSAGES from the monitor for {silent:.0f} s: is it still running?"
        return _Blindness("NO MESSAGES", "Unknown: the monitor sends no messages", banner)
    if not state.confirmed:
        return _Blindness("WAITING", "Waiting for the monitor's status")
    return None


def _lost_link(link: Link, health: Health | None, now: datetime) -> _Blindness:
    last = f"; last status {draw.moment(health.at, now)}" if health is not None else ""
    since = f" since {draw.moment(link.since, now)}" if link.since is not None else ""
    mark = _LINKS[link.state]
    match link.state:
        case LinkState.WAITING:
            return _Blindness(mark, f"Unknown{since}: no monitor answers", f"No monitor answers{last}")
        case LinkState.OFFLINE:
            banner = f"The monitor is offline{since}{last}"
            return _Blindness(mark, f"Unknown{since}: the monitor is offline", banner)
    lasted = f" for {draw.duration(max(0, int((now - link.since).total_seconds())))}" if link.since is not None else ""
    banner = f"No connection to the broker{lasted} (retrying){last}"
    return _Blindness(mark, f"Unknown{since}: no connection", f"{banner}: {link.reason}" if link.reason else banner)


@dataclass(frozen=True, slots=True)
class _Doubt:
    """Why a source may miss sounds."""

    mark: str
    severe: bool
    sentence: str


def _doubt(view: SourceView, now: datetime) -> _Doubt | None:
    """Return why this source may miss sounds, or None if it does not."""
    if view.health is None:
        return _Doubt("WAITING", False, f"{view.name} has no status yet")
    state = view.health.state
    if state is not SourceState.LISTENING:
        since = f" since {draw.moment(view.since, now)}" if view.since is not None else ""
        effect = _NOT_LISTENING.get(state, "not listening")
        return _Doubt(state.upper(), bool(view.trouble), f"{view.name} {_verb(state)}{since}: {effect}")
    if view.skipped > 0:
        sentence = f"{view.name} is behind: {view.skipped} windows skipped, sounds may be missed"
        return _Doubt("BEHIND", True, sentence)
    if view.health.lag > LATE:
        return _Doubt("BEHIND", True, f"{view.name} is behind: its scores are {view.health.lag:.0f} s old")
    if view.health.windows_done == 0:
        return _Doubt("STARTING", False, f"{view.name} is starting: no audio is analysed yet")
    if view.health.demonstration:
        return _Doubt("DEMONSTRATION", False, f"{view.name} is a demonstration, not a room")
    return None


def _verb(state: SourceState) -> str:
    return "has ended" if state is SourceState.ENDED else f"is {state}"


def _source_mark(doubts: Sequence[_Doubt], count: int) -> Iterator[Trouble]:
    """Yield one mark for all sources that may miss sounds."""
    if doubts:
        marks = {doubt.mark for doubt in doubts}
        which = f"{len(doubts)} of {count} " if count > 1 else ""
        what = marks.pop() if len(marks) == 1 else "NOT LISTENING"
        yield Trouble(any(doubt.severe for doubt in doubts), which + what)


def _setting_marks(health: Health | None) -> Iterator[Trouble]:
    if health is None:
        return
    if health.sounds_off:
        yield Trouble(any("alarm" in label.lower() for label in health.sounds_off), f"{len(health.sounds_off)} off")
    if health.sounds_changed:
        yield Trouble(False, f"{len(health.sounds_changed)} changed")
    if health.profile not in ("", DEFAULT_PROFILE):
        yield Trouble(False, f"profile {health.profile}")
