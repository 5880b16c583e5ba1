"""Formats numbers as text: bars, meters, charts, durations. Pure; widths and heights are in terminal cells."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from rich.cells import cell_len, set_cell_size
from rich.style import Style
from rich.text import Text

TEXT = "#dbe4f0"
MUTED = "#7f90ab"
FAINT = "#46556e"
TRACK = "#1d2736"
ACCENT = "#56c8f2"
GOOD = "#3ddc97"
WARN = "#ffb84d"
BAD = "#ff5470"

LEVEL_FLOOR = -80.0
"""Left end of the level meter, dBFS; the right end is full scale."""

_ACROSS = " ▏▎▍▌▋▊▉█"
_UP = " ▁▂▃▄▅▆▇█"
_STEPS = 64

SCORE_COLOURS = ("#41587c", "#3f8fd0", "#2fd3c3", "#ffd166", "#ff8a4c")
CALM_COLOURS = ("#33445f", "#41587c", "#52719e")
"""Of the scores of sounds that are not on: colour means that something happened."""
LEVEL_COLOURS = ("#1c6f63", "#22a884", "#3ddc97", "#ffd166", "#ff5470")


def clean(text: str) -> str:
    """Return the text without control characters: names and reasons come over the network."""
    return "".join(character if character.isprintable() else "?" for character in text)


def fit(text: str, width: int) -> str:
    """Return the cleaned text in exactly `width` cells, padded or cut with an ellipsis."""
    text = clean(text)
    if cell_len(text) > width > 0:
        return set_cell_size(text, width - 1) + "…"
    return set_cell_size(text, max(0, width))


def duration(seconds: float) -> str:
    """Format a duration, in at most seven cells up to 99 days."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, hours = whole // 60, whole // 3600
    if hours >= 24:
        return f"{hours // 24}d {hours % 24:02}h"
    return f"{hours}h {minutes % 60:02}m" if hours else f"{minutes}m {whole % 60:02}s"


def moment(at: datetime, today: datetime) -> str:
    """Format a local time, with the date if it is not today; at most twelve cells."""
    local, today = at.astimezone(), today.astimezone()
    return local.strftime("%H:%M:%S" if local.date() == today.date() else "%d %b %H:%M")


def share(value: float, low: float, high: float) -> float:
    """Return the position of the value between low and high, in [0, 1]; NaN counts as low."""
    return min(1.0, max(0.0, (value - low) / (high - low)))


@lru_cache(maxsize=512)
def _blend(colours: tuple[str, ...], step: int) -> str:
    """Return the colour at step/_STEPS between evenly spaced colours."""
    position = step / _STEPS * (len(colours) - 1)
    index = min(int(position), len(colours) - 2)
    part = position - index
    low, high = ([int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in colours[index : index + 2])
    return "#" + "".join(f"{round(a + (b - a) * part):02x}" for a, b in zip(low, high, strict=True))


@lru_cache(maxsize=1024)
def _style(colours: tuple[str, ...], step: int, background: str | None) -> Style:
    return Style(color=_blend(colours, step), bgcolor=background)


def shade(colours: tuple[str, ...], part: float, background: str | None = None) -> Style:
    """Return the style of a cell for a value in [0, 1]."""
    return _style(colours, round(part * _STEPS), background)


def bar(score: float, width: int, active: bool = True) -> Text:
    """Draw a score in [0, 1] as a bar with a resolution of an eighth of a cell; coloured if the sound is active."""
    part = share(score, 0.0, 1.0)
    eighths = round(part * width * 8)
    cells = "█" * (eighths // 8) + (_ACROSS[eighths % 8] if eighths % 8 else "")
    return Text(cells.ljust(width), shade(SCORE_COLOURS if active else CALM_COLOURS, part, TRACK))


def meter(level: float, peak: float, width: int) -> Text:
    """Draw a level and its held peak, dBFS, coloured along the scale."""
    eighths = round(share(level, LEVEL_FLOOR, 0.0) * width * 8)
    mark = round(share(peak, LEVEL_FLOOR, 0.0) * (width - 1))
    text = Text()
    for x in range(width):
        filled = _ACROSS[min(8, max(0, eighths - 8 * x))]
        if x == mark and filled == " " and mark:
            text.append("▎", Style(color=TEXT, bgcolor=TRACK))
        else:
            text.append(filled, shade(LEVEL_COLOURS, x / width, TRACK))
    return text


def scale(width: int) -> Text:
    """Draw the numbers below a meter of this width."""
    line = [" "] * width
    for dbfs in range(int(LEVEL_FLOOR), 1, 20):
        number = str(dbfs)
        end = round(share(dbfs, LEVEL_FLOOR, 0.0) * width)
        start = min(max(0, end - len(number) // 2), width - len(number))
        line[start : start + len(number)] = number
    return Text("".join(line[:width]), FAINT)


def chart(levels: Sequence[float], width: int, height: int) -> list[Text]:
    """Draw the newest levels, dBFS, one per column with the newest at the right, as `height` rows."""
    shown = levels[max(0, len(levels) - width) :]
    heights = [max(1, round(share(level, LEVEL_FLOOR, 0.0) * height * 8)) for level in shown]
    padding = " " * (width - len(shown))
    rows = []
    for row in reversed(range(height)):
        cells = "".join(_UP[min(8, max(0, value - 8 * row))] for value in heights)
        rows.append(Text(padding + cells, shade(LEVEL_COLOURS, (row + 0.5) / height)))
    return rows
