"""Moments as a person writes them."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from monitor.commands.when import parse_when


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine stands where clocks changed on 29 March 2026."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("45s", "2026-03-30T09:59:15"),
        ("30m", "2026-03-30T09:30:00"),
        ("2h", "2026-03-30T08:00:00"),
        ("3d", "2026-03-27T10:00:00"),
        ("1w", "2026-03-23T10:00:00"),
        ("today", "2026-03-29T22:00:00"),
        ("yesterday", "2026-03-28T23:00:00"),
        ("2026-03-28", "2026-03-27T23:00:00"),
        ("2026-03-30T08:30", "2026-03-30T06:30:00"),
        ("2026-03-30 08:30:15", "2026-03-30T06:30:15"),
        ("2026-03-30T08:30Z", "2026-03-30T08:30:00"),
        ("2026-03-30T08:30-05:00", "2026-03-30T13:30:00"),
    ],
)
def test_a_moment_is_understood(text: str, utc: str) -> None:
    """In this machine's zone, where none is given; a day has its own midnight, also when the clocks change."""
    now = datetime(2026, 3, 30, 10, 0, tzinfo=UTC).astimezone()
    assert parse_when(text, now) == datetime.fromisoformat(f"{utc}+00:00")


@pytest.mark.parametrize("text", ["", "soon", "2", "h", "-2h", "2 h", "2y", "99999999999d", "9999999w", "2026-13-01"])
def test_what_is_no_moment_is_refused_with_examples(text: str) -> None:
    """Also what lies before all calendars."""
    with pytest.raises(ValueError, match=r" is no time; write it like 2h, 3d, today, "):
        parse_when(text, datetime(2026, 3, 30, tzinfo=UTC))
