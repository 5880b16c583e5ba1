"""Deleting old events, in a real file."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from monitor.events.file import SCHEMA
from monitor.events.retention import STEP, Retention, allow_shrinking

DAY = 86_400.0
NOW = 1_000.0 * DAY
BLOB = b"x" * 300
"""About as large as a detection."""


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """An empty log."""
    with closing(sqlite3.connect(tmp_path / "events.db")) as connection:
        allow_shrinking(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(SCHEMA)
        yield connection


def fill(connection: sqlite3.Connection, *ages: float) -> None:
    """Record events of these ages, in days."""
    with connection:
        connection.executemany(
            "INSERT INTO events (id, phase, at, detection) VALUES (hex(randomblob(18)), 'started', ?, ?)",
            [(NOW - age * DAY, BLOB) for age in ages],
        )


def kept(connection: sqlite3.Connection) -> list[int]:
    """The sequence numbers that are left."""
    return [sequence for (sequence,) in connection.execute("SELECT sequence FROM events ORDER BY sequence")]


def size(connection: sqlite3.Connection, path: Path) -> int:
    """Bytes of the file, with everything in it."""
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return path.stat().st_size


def run(retention: Retention, connection: sqlite3.Connection, acknowledged: int = 0) -> int:
    """Step until nothing is left to do; returns how many steps that took."""
    for steps in range(1, 1000):
        if not retention.step(connection, NOW, acknowledged):
            return steps
    raise AssertionError("does not come to an end")


def test_what_is_too_old_is_deleted(connection: sqlite3.Connection) -> None:
    """By the time of the sound, wherever it stands in the log, whether the broker has it or not."""
    fill(connection, 31, 29, 30.5, 0)
    assert run(Retention(keep_days=30, max_mb=100), connection, acknowledged=1) == 1
    assert kept(connection) == [2, 4]


def test_the_oldest_make_room_when_the_log_is_full(
    connection: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only as many as are needed for a twentieth of room, and the file shrinks."""
    monkeypatch.setattr("monitor.events.retention.STEP", 20)
    connection.execute("PRAGMA synchronous = OFF")
    fill(connection, *[1.0] * 10_000)
    before = size(connection, tmp_path / "events.db")
    assert before > 4_000_000
    run(Retention(keep_days=30, max_mb=2), connection)
    left = kept(connection)
    assert left[-1] == 10_000
    assert left == list(range(left[0], 10_001))
    assert 1_800_000 < size(connection, tmp_path / "events.db") <= 1_900_000  # pages of random ids empty unevenly


def test_a_log_within_its_limits_is_left_alone(connection: sqlite3.Connection) -> None:
    """Also one that is nearly full."""
    fill(connection, *[1.0] * 4_000)
    assert run(Retention(keep_days=30, max_mb=2), connection) == 1
    assert len(kept(connection)) == 4_000


def test_every_step_is_small(connection: sqlite3.Connection) -> None:
    """Whatever is to be done, an event that comes meanwhile waits for a few hundred others at most."""
    fill(connection, *[1.0] * 13_000)
    retention = Retention(keep_days=30, max_mb=2)
    left, pages = len(kept(connection)), connection.execute("PRAGMA page_count").fetchone()[0]
    more = True
    while more:
        more = retention.step(connection, NOW, 0)
        fewer, smaller = len(kept(connection)), connection.execute("PRAGMA page_count").fetchone()[0]
        assert 0 <= left - fewer <= STEP
        assert 0 <= pages - smaller <= STEP
        left, pages = fewer, smaller
    assert pages * 4096 < 2_000_000


def test_what_the_broker_never_got_goes_last_and_is_said(
    connection: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, with how many; while all that goes has been told there is no reason to warn."""
    caplog.set_level(logging.INFO)
    retention = Retention(keep_days=30, max_mb=2)
    fill(connection, *[1.0] * 5_000)
    run(retention, connection, acknowledged=5_000)
    gone = kept(connection)[0] - 1
    assert told(caplog) == [("INFO", f"the event log reached events.max_mb: its oldest {gone} events are deleted")]
    fill(connection, *[1.0] * 1_000)
    run(retention, connection, acknowledged=gone + 100)
    _, (level, said) = told(caplog)
    untold = kept(connection)[0] - 1 - gone - 100
    assert level == "WARNING"
    assert f" events that the broker never got, {untold} of them: " in said
    run(retention, connection, acknowledged=gone + 100)
    assert told(caplog) == []


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Level and text of what was said since the last call."""
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    caplog.clear()
    return said


def test_what_is_too_old_and_was_never_told_is_said(
    connection: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """What the broker has goes without a word."""
    caplog.set_level(logging.INFO)
    retention = Retention(keep_days=30, max_mb=2)
    fill(connection, 40.0, 40.0)
    run(retention, connection, acknowledged=2)
    assert told(caplog) == []
    fill(connection, 40.0, 40.0)
    run(retention, connection, acknowledged=3)
    [(level, said)] = told(caplog)
    assert level == "WARNING"
    assert " events that the broker never got, 1 of them: " in said


def test_a_wrong_clock_does_not_empty_the_log(connection: sqlite3.Connection) -> None:
    """What is suddenly all too old goes a little at each look; the clock may be right at the next."""
    fill(connection, *[40.0] * 3_000)
    assert run(Retention(keep_days=30, max_mb=2), connection) == 1
    assert len(kept(connection)) == 3_000 - STEP


def test_without_a_broker_nobody_is_missed(connection: sqlite3.Connection, caplog: pytest.LogCaptureFixture) -> None:
    """It is no reason to warn that nobody was told who never was."""
    fill(connection, *[1.0] * 5_000)
    run(Retention(keep_days=30, max_mb=2), connection, acknowledged=0)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_file_that_cannot_shrink_is_emptied_as_well(tmp_path: Path) -> None:
    """Its pages are used again."""
    with closing(sqlite3.connect(tmp_path / "old.db")) as connection:
        connection.executescript(SCHEMA)
        fill(connection, *[40.0] * 8_000, *[1.0] * 8_000)
        run(Retention(keep_days=30, max_mb=2), connection)
        assert 2_000 < len(kept(connection)) < 5_000


def test_what_takes_the_room_besides_events_is_left_alone(connection: sqlite3.Connection) -> None:
    """It is not tried for ever."""
    connection.execute("CREATE TABLE other AS SELECT zeroblob(3000000) AS large")
    connection.commit()
    fill(connection, 1.0)
    assert run(Retention(keep_days=30, max_mb=2), connection) < 5
