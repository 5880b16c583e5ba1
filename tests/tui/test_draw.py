"""Drawing numbers in terminal cells."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from monitor.tui import draw
from tests.tui.feeds import NOON


@pytest.mark.parametrize(
    ("score", "cells"),
    [(0.0, "    "), (1.0, "████"), (0.5, "██  "), (0.03125, "▏   "), (0.59375, "██▍ "), (2.0, "████"), (-1.0, "    ")],
)
def test_bar_grows_by_eighths(score: float, cells: str) -> None:
    """Four cells have 32 steps, and scores outside [0, 1] fit."""
    assert draw.bar(score, 4).plain == cells


def test_bar_is_coloured_by_its_score() -> None:
    """Low and high scores have different colours."""
    low, high = (draw.bar(score, 4).style for score in (0.1, 0.9))
    assert low != high
    assert draw.bar(0.9, 4, active=False).style not in (low, high)


@pytest.mark.parametrize(("level", "filled"), [(-120.0, 0), (-80.0, 0), (-40.0, 10), (0.0, 20), (6.0, 20)])
def test_meter_covers_the_scale(level: float, filled: int) -> None:
    """The left end is the floor, the right end full scale, and digital silence is empty."""
    assert draw.meter(level, -120.0, 20).plain.count("█") == filled


def test_meter_holds_the_peak() -> None:
    """A mark shows the peak to the right of the level."""
    cells = draw.meter(-40.0, -20.0, 20).plain
    assert cells == "█" * 10 + " " * 4 + "▎" + " " * 5


def test_scale_names_the_ends() -> None:
    """The numbers have the width of the meter, with both ends."""
    line = draw.scale(40).plain
    assert line.split() == ["-80", "-60", "-40", "-20", "0"]
    assert len(line) == 40


def test_chart_shows_the_newest_at_the_right() -> None:
    """Each level has a column, and silence differs from no level."""
    top, bottom = (row.plain for row in draw.chart([-10.0, -120.0, -40.0, 0.0], width=4, height=2))
    assert bottom == "█▁██"
    assert top == "▆  █"
    assert [row.plain for row in draw.chart([0.0], width=3, height=1)] == ["  █"]


@given(st.floats(), st.floats(), st.integers(0, 50), st.integers(0, 5))
def test_any_number_can_be_drawn(value: float, other: float, width: int, height: int) -> None:
    """Drawings have the requested size for any number, also NaN and infinity."""
    assert draw.bar(value, width).cell_len == width
    assert draw.meter(value, other, width).cell_len == width
    assert [row.cell_len for row in draw.chart([value, other], width, height)] == [width] * height


@given(st.text(), st.integers(0, 20))
def test_text_fits_its_cells(text: str, width: int) -> None:
    """Text has the requested width, also with characters of two cells."""
    assert cell_len(draw.fit(text, width)) == width


def test_text_is_cut_with_an_ellipsis() -> None:
    """An ellipsis marks cut text."""
    assert draw.fit("Smoke detector", 8) == "Smoke d…"


def test_control_characters_are_replaced() -> None:
    """Names from the network cannot control the terminal."""
    assert draw.fit("\x1b[31mDog\n", 9) == "?[31mDog?"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0.0 s"), (0.24, "0.2 s"), (9.96, "10 s"), (59.4, "59 s"), (59.7, "1m 00s"), (75, "1m 15s"),
     (3600, "1h 00m"), (100 * 3600, "4d 04h")],
)  # fmt: skip
def test_duration(seconds: float, words: str) -> None:
    """Short durations have tenths, long ones larger units."""
    assert draw.duration(seconds) == words


def test_moment_has_the_date_if_it_is_not_today() -> None:
    """Times of other days have the date."""
    assert draw.moment(NOON, NOON) == f"{NOON.astimezone():%H:%M:%S}"
    assert draw.moment(NOON, NOON + timedelta(days=1)) == f"{NOON.astimezone():%d %b %H:%M}"
