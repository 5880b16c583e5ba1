"""The lines around the panels: title, sources, banner, status. Each redraws only if its content has changed."""

from rich.style import Style
from rich.text import Text
from textual.reactive import reactive
from textual.widget import Widget

from monitor.messages import BrokerState, Health, SourceHealth, SourceState
from monitor.tui import draw
from monitor.tui.state import LATE
from monitor.tui.truth import Trouble

ALARM = "#b3123b"
STATE_MARKS = {
    SourceState.OPENING: ("◌", draw.WARN),
    SourceState.LISTENING: ("●", draw.GOOD),
    SourceState.PAUSED: ("‖", draw.WARN),
    SourceState.STALLED: ("✖", draw.BAD),
    SourceState.DEAF: ("✖", draw.BAD),
    SourceState.LOST: ("✖", draw.BAD),
    SourceState.ENDED: ("■", draw.MUTED),
}
BROKER_COLOURS = {
    BrokerState.DISABLED: draw.MUTED,
    BrokerState.CONNECTING: draw.WARN,
    BrokerState.CONNECTED: draw.GOOD,
    BrokerState.FAILED: draw.BAD,
}


class TitleBar(Widget):
    """Title bar: node, what is not as it should be, feed, clock."""

    node = reactive("")
    marks: reactive[tuple[Trouble, ...]] = reactive(())
    feed = reactive("")
    frozen = reactive(False)
    clock = reactive("")

    def render(self) -> Text:
        width = self.content_size.width
        left = Text.assemble(
            ("◖◗ ", draw.ACCENT), ("sound-monitor", f"bold {draw.TEXT}"), "  ", (draw.clean(self.node), draw.ACCENT)
        )
        for mark in self.marks:
            style = f"bold #ffffff on {ALARM}" if mark.severe else f"bold {draw.WARN}"
            left.append("  ").append(f" {draw.clean(mark.text)} " if mark.severe else draw.clean(mark.text), style)
        right = Text()
        if self.frozen:
            right.append(" FROZEN ", f"bold #10161f on {draw.WARN}")
            right.append("  ")
        right.append(f" {self.clock}", f"bold {draw.TEXT}")
        room = width - left.cell_len - right.cell_len
        if room < 0:
            left.truncate(max(0, width - right.cell_len - 1), overflow="ellipsis")
            left.append(" ")
        feed = draw.fit("   " + self.feed, room) if room > 0 else ""
        return Text.assemble(left, (feed, draw.MUTED), right, no_wrap=True)


class SourceBar(Widget):
    """All sources with their states; the chosen one is highlighted."""

    sources: reactive[tuple[tuple[str, SourceState | None], ...]] = reactive(())
    chosen = reactive(0)

    def render(self) -> Text:
        text = Text(no_wrap=True)
        room = self.content_size.width // max(1, len(self.sources)) - 7
        for index, (name, state) in enumerate(self.sources):
            mark, colour = _state_mark(state) if state else ("?", draw.MUTED)
            name = draw.clean(name) if len(name) <= max(4, room) else draw.fit(name, max(4, room))
            chosen = index == self.chosen
            style = f"bold {draw.TEXT} on #24405c" if chosen else draw.MUTED
            text.append(f"{'▸' if chosen else ' '}{index + 1} ", style)
            text.append(f"{mark} ", Style.parse(style) + Style(color=colour))
            text.append(f"{name} ", style)
            text.append(" ")
        return text


class Banner(Widget):
    """Current problems; hidden if there are none."""

    troubles: reactive[tuple[Trouble, ...]] = reactive(())

    def watch_troubles(self) -> None:
        self.display = bool(self.troubles)
        self.styles.height = min(4, len(self.troubles))

    def render(self) -> Text:
        width = self.content_size.width
        lines = []
        for trouble in self.troubles:
            style = f"bold #ffffff on {ALARM}" if trouble.severe else "bold #10161f on #ffb84d"
            lines.append(Text(draw.fit(f" ▲ {trouble.text}", width), style))
        return Text("\n", no_wrap=True).join(lines)


class StatusLines(Widget):
    """Status of the chosen source, and of the monitor."""

    current = reactive(True)
    """The monitor's messages arrive; otherwise the status is an old one."""
    source: reactive[SourceHealth | None] = reactive(None)
    health: reactive[Health | None] = reactive(None)

    def render(self) -> Text:
        width = self.content_size.width
        return Text("\n", no_wrap=True).join([self._source_line(width), self._monitor_line(width)])

    def _source_line(self, width: int) -> Text:
        source, health = self.source, self.health
        if source is None or health is None:
            return Text("Waiting for the monitor's status", draw.MUTED)
        mark, colour = _state_mark(source.state) if self.current else ("?", draw.MUTED)
        state = Text(f"{mark} {source.state if self.current else 'unknown'}  ", f"bold {colour}")
        lost = source.windows_dropped + health.messages_dropped
        facts = _facts(
            width - state.cell_len,
            ("lag", f"{source.lag:.2f} s", source.lag > LATE),
            ("drops", f"{source.windows_dropped}+{health.messages_dropped}", lost > 0),
            ("overflows", f"{source.overflows}", source.overflows > 0),
            ("reopened", f"{source.reopened}", source.reopened > 0),
            *([("lost", f"{source.lost:.1f} s", True)] if source.lost else []),
            *([("gain", f"{source.gain:+.0f} dB", False)] if source.gain else []),
        )
        device = draw.fit(source.device, max(0, width - state.cell_len - facts.cell_len))
        return Text.assemble(state, (device, draw.TEXT), facts)

    def _monitor_line(self, width: int) -> Text:
        health = self.health
        if health is None or not health.model:
            return Text()
        provider = health.provider.removesuffix("ExecutionProvider")
        facts = _facts(
            width,
            ("load", f"{health.load:.0%}", health.load > 0.8),
            ("p50/p95", f"{health.inference_p50 * 1e3:.0f}/{health.inference_p95 * 1e3:.0f} ms", False),
        )
        broker = Text()
        if self.current:
            broker = Text.assemble(("  MQTT ", draw.MUTED), (health.broker, f"bold {BROKER_COLOURS[health.broker]}"))
        model = Text.assemble((draw.clean(health.model), draw.TEXT), (" on ", draw.MUTED), (provider, draw.TEXT))
        line = Text.assemble(model, facts, broker)
        if line.cell_len > width:
            line = Text.assemble(model, broker)
            line.truncate(width, overflow="ellipsis")
        detail = f" {health.broker_detail}" if self.current else ""
        return line + Text(draw.fit(detail, width - line.cell_len), draw.MUTED)


def _state_mark(state: SourceState) -> tuple[str, str]:
    return STATE_MARKS.get(state, ("✖", draw.BAD))


def _facts(width: int, *facts: tuple[str, str, bool]) -> Text:
    """Format as many facts as fit, each with name, value, and whether the value is a problem."""
    text = Text()
    for name, value, bad in facts:
        if text.cell_len + len(name) + len(value) + 3 > width:
            break
        text.append(f"  {name} ", draw.MUTED)
        text.append(value, f"bold {draw.WARN}" if bad else draw.TEXT)
    return text
