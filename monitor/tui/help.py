"""The help page: keys, and the meaning of the display."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Static

from monitor.tui import draw

KEYS = (
    ("tab, 1-9", "choose a source"),
    ("p", "freeze the display; the monitor keeps listening"),
    ("↑ ↓", "scroll the events; also page up and page down"),
    ("? esc", "close this page"),
    ("q", "quit"),
)
LEGEND = (
    ("●", "a detected sound that has not ended yet"),
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
