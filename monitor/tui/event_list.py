"""The list of detections. Draws only the visible lines."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from monitor.messages import Detection
from monitor.tui import draw


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

    def show(self, events: Sequence[Detection], active: frozenset[str], now: datetime) -> None:
        """Show these events; `active` has the ids of sounds that are on."""
        if (events, active, now.date()) == (self._events, self._active, self._now.date()):
            return
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
            line = Text("Listening… nothing yet" if y == 0 else "", draw.MUTED)
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
