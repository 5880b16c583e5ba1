"""The live view: follows a feed, and draws the newest state a few times a second."""

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum, auto
from time import monotonic
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.theme import Theme
from textual.widgets import Footer, Static

from monitor.messages import Feed
from monitor.tui import draw
from monitor.tui.bars import Banner, SourceBar, StatusLines, TitleBar
from monitor.tui.state import SourceView, ViewState
from monitor.tui.truth import claim, nothing_yet, troubles
from monitor.tui.widgets import ActiveList, EventList, Help, LevelMeter, ScoreList

DRAW_INTERVAL = 0.15
"""Seconds between two updates; a panel is redrawn only if its content has changed."""


LEAST_SIZE = 60, 14
"""Columns and lines that the panels need."""


class Output(Enum):
    """State of the terminal."""

    READY = auto()
    STALLED = auto()
    """Nothing reads its output now."""
    GONE = auto()


THEME = Theme(
    "night",
    primary=draw.ACCENT,
    secondary=draw.GOOD,
    accent=draw.ACCENT,
    foreground=draw.TEXT,
    background="#0d131c",
    surface="#0d131c",
    panel="#2b3a50",
    success=draw.GOOD,
    warning=draw.WARN,
    error=draw.BAD,
    variables={"footer-background": "#16202e", "footer-key-foreground": draw.ACCENT},
)


class MonitorApp(App[None]):
    """Shows one feed until it ends or the user quits. Afterwards `failure` has the exception of the feed, or None."""

    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (LEAST_SIZE[0], "-narrow"), (110, "-wide")]  # noqa: RUF012 - as in Textual
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (LEAST_SIZE[1], "-low"), (20, "-high")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,ctrl+c,ctrl+q", "quit", "Quit", key_display="q", priority=True),
        Binding("p", "freeze", "Freeze"),
        Binding("tab", "source(1)", "Source", key_display="tab 1-9", priority=True),
        Binding("shift+tab", "source(-1)", "Previous source", show=False, priority=True),
        *(Binding(str(n), f"choose({n - 1})", f"Source {n}", show=False) for n in range(1, 10)),
        Binding("question_mark", "help", "Help", key_display="?"),
    ]

    def __init__(self, feed: Feed, output: Callable[[], Output] = lambda: Output.READY) -> None:
        """`output` returns the state of the terminal; on a stalled one, Textual would block the event loop."""
        super().__init__()
        self.failure: Exception | None = None
        self._feed = feed
        self._output = output
        self._state = ViewState()
        self._received = monotonic()
        self._chosen = 0
        self._frozen: tuple[ViewState, datetime, float] | None = None
        self.title_bar = TitleBar()
        self.panels = Container(id="panels")
        self.source_bar = SourceBar()
        self.banner = Banner()
        self.scores = ScoreList(id="scores")
        self.active_list = ActiveList(id="active")
        self.level_meter = LevelMeter(id="level")
        self.event_list = EventList()
        self.status_lines = StatusLines()

    def compose(self) -> ComposeResult:
        yield self.title_bar
        yield self.source_bar
        yield self.banner
        with self.panels:
            yield self.scores
            yield self.active_list
            yield self.event_list
            yield self.level_meter
        yield Static(f"Needs {LEAST_SIZE[0]} columns and {LEAST_SIZE[1]} lines", id="small")
        yield self.status_lines
        yield Footer()

    def on_mount(self) -> None:
        self.register_theme(THEME)
        self.theme = THEME.name
        self.scores.border_title = "Hearing now"
        self.active_list.border_title = "Active"
        self.level_meter.border_title = "Level"
        self.event_list.border_title = "Events"
        self.event_list.focus()
        self.run_worker(self._follow(), name="feed")
        self.set_interval(DRAW_INTERVAL, self._draw)
        self._draw()

    async def _follow(self) -> None:
        """Apply messages until the feed ends, then exit."""
        try:
            async for message in self._feed.messages():
                self._state.apply(message)
                self._received = monotonic()
        except Exception as error:  # the caller of the display gets any exception
            self.failure = error
        self.exit()

    def _draw(self) -> None:
        """Update the content of every panel; unchanged panels do nothing."""
        output = self._output()
        if output is Output.GONE:
            self.exit()
        if output is not Output.READY:
            return
        clock = datetime.now(UTC)
        self.title_bar.clock = f"{clock.astimezone():%H:%M:%S}"
        self.title_bar.frozen = self._frozen is not None
        state, now, silent = self._frozen or (self._state, clock, monotonic() - self._received)
        views = list(state.sources.values())
        self._chosen = max(0, min(self._chosen, len(views) - 1))
        known = claim(state, silent, now)
        self.source_bar.sources = tuple(
            (view.name, view.health.state if view.health and known.current else None) for view in views
        )
        self.source_bar.chosen = self._chosen
        self.banner.troubles = tuple(troubles(state, silent, now))
        self.title_bar.marks = known.marks
        self._set_current(known.current)
        self.status_lines.current = known.current
        self._draw_source(views[self._chosen] if views else SourceView(""))
        active = state.active
        until = now if known.current or state.health is None else state.health.at
        self.active_list.rows = tuple(
            (detection, draw.duration(max(0, int((until - detection.started_at).total_seconds()))))
            for detection in active
        )
        self.active_list.sentences, self.active_list.quiet = known.sentences, known.quiet
        empty = nothing_yet(state) if known.quiet else "Events will appear here"
        self.event_list.show(tuple(state.events), frozenset(detection.id for detection in active), now, empty)
        self.status_lines.health = state.health
        self.title_bar.feed = self._feed.title
        self.title_bar.node = state.health.node if state.health else ""

    def _set_current(self, current: bool) -> None:
        """Dim and rename the panels while they show what was. Setting a title redraws its panel, also to the same."""
        if self.panels.has_class("-stale") is current:
            self.panels.set_class(not current, "-stale")
            self.active_list.border_title = "Active" if current else "Active when last known"
            self.scores.border_title = "Hearing now" if current else "Heard last"

    def _draw_source(self, view: SourceView) -> None:
        self.scores.notice, self.scores.deaf = view.notice, bool(view.trouble)
        self.scores.snapshot = view.snapshot
        self.level_meter.levels = tuple(level for _, level in view.levels)
        self.level_meter.peak = view.peak
        self.status_lines.source = view.health

    def action_freeze(self) -> None:
        """Freeze or unfreeze the display; messages are applied all the time."""
        silent = monotonic() - self._received
        self._frozen = None if self._frozen else (copy.deepcopy(self._state), datetime.now(UTC), silent)
        self._draw()

    def action_choose(self, index: int) -> None:
        """Show the source with this index."""
        self._chosen = index
        self._draw()

    def action_source(self, step: int) -> None:
        """Show the next or previous source; after the last comes the first."""
        self._chosen = (self._chosen + step) % max(1, len(self.source_bar.sources))
        self._draw()

    def action_help(self) -> None:
        """Open the help page."""
        self.push_screen(Help())
