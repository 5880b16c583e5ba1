"""The page behind `?`: the keys, and how to read the display."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Static

from monitor.tui import draw

KEYS = (
    ("tab, 1-9", "choose a source"),
    ("p", "freeze the display; listening goes on"),
    ("↑ ↓", "scroll the events, also page up and down"),
    ("? esc", "close this page"),
    ("q", "quit"),
)
LEGEND = (
    ("●", "counts as detected, until it has ended"),
    ("0.87", "score from 0 to 1, smoothed; peak is the raw maximum"),
    ("dBFS", f"level; 0 is full scale, the bar begins at {draw.LEVEL_FLOOR:.0f}"),
    ("lag", "from the end of a window to its scores"),
    ("overflows", "times that audio was lost before it reached us"),
    ("drops", "windows skipped + messages lost by slow readers"),
    ("load", "inference time as a share of real time"),
)


class Help(ModalScreen[None]):
    """A box over the display."""

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
