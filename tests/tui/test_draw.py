"""The drawing of numbers in cells."""

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
    """Four cells have thirty-two steps, and no score leaves them."""
    assert draw.bar(score, 4).plain == cells


def test_bar_is_coloured_by_its_score() -> None:
    """A high score is seen before it is read."""
    low, high = (draw.bar(score, 4).style for score in (0.1, 0.9))
    assert low != high


@pytest.mark.parametrize(("level", "filled"), [(-120.0, 0), (-80.0, 0), (-40.0, 10), (0.0, 20), (6.0, 20)])
def test_meter_covers_the_scale(level: float, filled: int) -> None:
    """Its left end is the floor, its right end full scale; digital silence is empty."""
    assert draw.meter(level, -120.0, 20).plain.count("█") == filled


def test_meter_holds_the_peak() -> None:
    """A mark stands where the peak was, right of the level."""
    cells = draw.meter(-40.0, -20.0, 20).plain
    assert cells == "█" * 10 + " " * 4 + "▎" + " " * 5


def test_scale_names_the_ends() -> None:
    """The numbers fit the meter that they stand under."""
    line = draw.scale(40).plain
    assert line.split() == ["-80", "-60", "-40", "-20", "0"]
    assert len(line) == 40


def test_chart_shows_the_newest_at_the_right() -> None:
    """One column a level; what is silent still leaves a trace, so that it differs from nothing."""
    top, bottom = (row.plain for row in draw.chart([-10.0, -120.0, -40.0, 0.0], width=4, height=2))
    assert bottom == "█▁██"
    assert top == "▆  █"
    assert [row.plain for row in draw.chart([0.0], width=3, height=1)] == ["  █"]


@given(st.floats(), st.floats(), st.integers(0, 50), st.integers(0, 5))
def test_no_number_breaks_the_drawing(value: float, other: float, width: int, height: int) -> None:
    """Everything is exactly as wide and high as asked for, not-a-number and infinities too."""
    assert draw.bar(value, width).cell_len == width
    assert draw.meter(value, other, width).cell_len == width
    assert [row.cell_len for row in draw.chart([value, other], width, height)] == [width] * height


@given(st.text(), st.integers(0, 20))
def test_text_fits_its_cells(text: str, width: int) -> None:
    """Also where characters are two cells wide."""
    assert cell_len(draw.fit(text, width)) == width


def test_text_is_cut_with_an_ellipsis() -> None:
    """A reader sees that there was more."""
    assert draw.fit("Smoke detector", 8) == "Smoke d…"


def test_names_cannot_steer_the_terminal() -> None:
    """A name that came over the network is only ever text."""
    assert draw.fit("\x1b[31mDog\n", 9) == "?[31mDog?"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0.0 s"), (0.24, "0.2 s"), (9.96, "10 s"), (59.4, "59 s"), (59.7, "1m 00s"), (75, "1m 15s"),
     (3600, "1h 00m"), (100 * 3600, "4d 04h")],
)  # fmt: skip
def test_duration(seconds: float, words: str) -> None:
    """Short ones to the tenth, long ones in larger units."""
    assert draw.duration(seconds) == words


def test_moment_says_the_date_when_it_was_not_today() -> None:
    """A time of day alone would lie about yesterday."""
    assert draw.moment(NOON, NOON) == f"{NOON.astimezone():%H:%M:%S}"
    assert draw.moment(NOON, NOON + timedelta(days=1)) == f"{NOON.astimezone():%d %b %H:%M}"
