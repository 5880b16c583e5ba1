"""The parts of the display: scores, active sounds, level, events, help. Each redraws only if its content changed."""

import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.reactive import reactive
from textual.screen import ModalScreen
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Static

from monitor.messages import Detection, LabelScore, Snapshot
from monitor.tui import draw

LEAST_SCORE = 0.01
"""A lower score is not shown."""


class ScoreList(Widget):
    """The highest scores of the chosen source; labels that are on are marked."""

    snapshot: reactive[Snapshot | None] = reactive(None)
    notice = reactive("")
    """Text in place of scores."""
    deaf = reactive(False, toggle_class="-deaf")
    """The notice is a problem."""

    def render(self) -> Text:
        width, height = self.content_size
        if self.notice or self.snapshot is None:
            return Text(draw.clean(self.notice), f"bold {draw.BAD}" if self.deaf else draw.MUTED)
        labels = [score for score in self.snapshot.labels if score.active or _worth_a_row(score)]
        if not labels:
            return Text(f"All scores are below {LEAST_SCORE}", draw.MUTED)
        names = min(30, width * 2 // 5)
        spaced = (height + 1) // 2
        gap, room = ("\n\n", spaced) if spaced >= min(10, len(labels)) else ("\n", height)
        lines = []
        for score in labels[:room]:
            name = f"{'●' if score.active else ' '} {draw.fit(score.label, names)} "
            style = f"bold {draw.WARN}" if score.active else draw.TEXT if score.score >= 0.2 else draw.MUTED
            lines.append(
                Text.assemble(
                    (name, style),
                    draw.bar(score.score, max(1, width - names - 9), score.active),
                    (f" {score.score:5.2f}", style),
                )
            )
        return Text(gap, no_wrap=True).join(lines)


class ActiveList(Widget):
    """Sounds that are on, of all sources, in two lines each; then what is not known."""

    sentences: reactive[tuple[str, ...]] = reactive(())
    """In place of the sounds, and below them if they are not all that may be on."""
    quiet = reactive(False)
    """The sentences say so."""
    rows: reactive[tuple[tuple[Detection, str], ...]] = reactive(())
    """Each with its duration so far, as text."""

    def render(self) -> Text:
        width, height = self.content_size
        if not self.rows:
            return self._unknown(width, height)
        room = len(self.rows) if 2 * len(self.rows) <= height else max(1, (height - 1) // 2)
        lines = []
        for detection, lasted in self.rows[:room]:
            since = detection.started_at.astimezone().strftime("%H:%M:%S")
            lines.append(_ends(f"● {detection.label}", lasted, width, f"bold {draw.WARN}"))
            peak = f"{'peak ' if width >= 36 else ''}{detection.peak:.2f}"
            lines.append(_ends(f"  {detection.source}  {since}", peak, width, draw.MUTED))
        if room < len(self.rows):
            lines.append(Text(f"  and {len(self.rows) - room} more", draw.MUTED))
        elif not self.quiet and len(lines) < height:
            lines.append(self._unknown(width, height - len(lines)))
        return Text("\n", no_wrap=True).join(lines)

    def _unknown(self, width: int, height: int) -> Text:
        """Format as many of the sentences as fit, wrapped."""
        lines = [line for sentence in self.sentences for line in textwrap.wrap(draw.clean(sentence), max(1, width))]
        if len(lines) > height > 0:
            lines[height - 1 :] = ["…"]
        return Text("\n".join(lines), draw.MUTED if self.quiet else draw.WARN, no_wrap=True)


class LevelMeter(Widget):
    """The level of the chosen source, with its held peak and its history."""

    levels: reactive[tuple[float, ...]] = reactive(())
    """Oldest first, dBFS."""
    peak = reactive(0.0)

    def render(self) -> Text:
        width, height = self.content_size
        if not self.levels:
            return Text("No level yet", draw.MUTED)
        numbers = f" {self.levels[-1]:6.1f}  peak {self.peak:6.1f} dBFS"
        across = max(1, width - len(numbers))
        lines = [draw.meter(self.levels[-1], self.peak, across) + Text(numbers, draw.TEXT)]
        if height >= 4:
            lines += [draw.scale(across), Text()]
        lines += draw.chart(self.levels, width, height - len(lines))
        return Text("\n", no_wrap=True).join(lines)


def _worth_a_row(score: LabelScore) -> bool:
    """Whether the label is a sound that may be there; silence is not one."""
    return score.score >= LEAST_SCORE and score.label.lower() != "silence"


def _ends(left: str, right: str, width: int, style: str) -> Text:
    """Format one line with a text at either end; the left one is cut if necessary."""
    return Text(f"{draw.fit(left, width - len(right) - 1)} {right}", style)


class EventList(ScrollView, can_focus=True):
    """All detections, newest sound first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "scroll_up", "Scroll", key_display="↑↓"),
        Binding("down", "scroll_down", "Scroll", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(id="events")
        self._events: Sequence[Detection] = ()
        self._active: frozenset[str] = frozenset()
        self._now = datetime.fromtimestamp(0, UTC)
        self._moments = 0
        self._empty = ""

    def show(self, events: Sequence[Detection], active: frozenset[str], now: datetime, empty: str) -> None:
        """Show these events, or the text `empty`; `active` has the ids of sounds that are on."""
        if (events, active, now.date(), empty) == (self._events, self._active, self._now.date(), self._empty):
            return
        self._empty = empty
        first = self._events[0].id if self._events else ""
        added = next((i for i, event in enumerate(events) if event.id == first), 0)
        self._events, self._active, self._now = events, active, now
        self._moments = len(draw.moment(events[-1].started_at, now)) if events else 0
        self.virtual_size = Size(0, len(events))
        if self.scroll_target_y > 0:  # keep the visible lines in place
            self.scroll_to(y=self.scroll_target_y + added, animate=False)
        self.border_subtitle = f"{len(events)}" if events else ""
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        index = y + self.scroll_offset.y
        if not self._events:
            line = Text(self._empty if y == 0 else "", draw.MUTED)
        elif index < len(self._events):
            line = self._row(self._events[index], width)
        else:
            line = Text()
        segments = line.render(self.app.console)
        return Strip(segments).adjust_cell_length(width, self.rich_style).apply_style(self.rich_style)

    def _row(self, event: Detection, width: int) -> Text:
        active = event.id in self._active
        mark, style = ("●", f"bold {draw.WARN}") if active else (" ", draw.TEXT)
        lasted = "on" if active else ""
        if event.ended_at is not None:
            lasted = draw.duration((event.ended_at - event.started_at).total_seconds())
        at = f"{draw.moment(event.started_at, self._now):>{self._moments}}"
        peak = "peak " if width >= 64 else ""
        source = min(20, width // 5)
        label = max(1, width - len(at) - source - len(peak) - 19)
        return Text.assemble(
            (f"{at}  ", draw.MUTED),
            (f"{mark} {draw.fit(event.label, label)} ", style),
            (draw.fit(event.source, source), draw.MUTED),
            (f"{lasted:>8}  ", style),
            (peak, draw.FAINT),
            (f"{event.peak:.2f}", draw.shade(draw.SCORE_COLOURS, draw.share(event.peak, 0.0, 1.0))),
        )


KEYS = (
    ("tab, 1-9", "choose a source"),
    ("p", "freeze the display; the monitor keeps listening"),
    ("↑ ↓", "scroll the events; also page up and page down"),
    ("? esc", "close this page"),
    ("q", "quit"),
)
LEGEND = (
    ("●", "a detected sound that has not ended yet; in the scores, its class"),
    ("0.87", "score from 0 to 1, smoothed; peak is the raw maximum"),
    ("dBFS", f"level; 0 is full scale, the bar starts at {draw.LEVEL_FLOOR:.0f}"),
    ("lag", "time from the end of a window to its scores"),
    ("overflows", "how often audio was lost before the monitor got it"),
    ("drops", "windows skipped + messages lost by slow consumers"),
    ("load", "inference time as a share of real time"),
)


class Help(ModalScreen[None]):
    """A dialog over the display."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,enter,space", "dismiss", "Close"),
    ]

    def compose(self) -> ComposeResult:
        text = Text()
        for rows in (KEYS, LEGEND):
            for name, meaning in rows:
                text.append(f"{name:<11}", f"bold {draw.ACCENT}")
                text.append(f"{meaning}\n", draw.TEXT)
            text.append("\n")
        text.right_crop(2)
        box = Static(text)
        box.border_title = "How to read this"
        yield box
