"""Limits on age and size of the event log, in a real file."""

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
    """The remaining sequence numbers."""
    return [sequence for (sequence,) in connection.execute("SELECT sequence FROM events ORDER BY sequence")]


def size(connection: sqlite3.Connection, path: Path) -> int:
    """Bytes of the file, with its journal."""
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return path.stat().st_size


def run(retention: Retention, connection: sqlite3.Connection, acknowledged: int = 0) -> int:
    """Step until there is nothing to delete; return the number of steps."""
    for steps in range(1, 1000):
        if not retention.step(connection, NOW, acknowledged):
            return steps
    raise AssertionError("does not end")


def test_old_events_are_deleted(connection: sqlite3.Connection) -> None:
    """Age counts from the sound, acknowledged or not."""
    fill(connection, 31, 30.5, 29, 0)
    assert run(Retention(keep_days=30, max_mb=100), connection, acknowledged=1) == 1
    assert kept(connection) == [3, 4]


def test_events_that_only_look_old_are_kept(connection: sqlite3.Connection) -> None:
    """Events of a clock that was years behind are deleted with their neighbours; those of one ahead stop nothing."""
    fill(connection, 31, -900, 29, 7_000, 28, -900, 7_000)
    retention = Retention(keep_days=30, max_mb=100)
    run(retention, connection)
    assert kept(connection) == [2, 3, 4, 5, 6, 7]
    assert not retention.step(connection, NOW + 1.5 * DAY, 0)
    assert kept(connection) == [2, 5, 6, 7]


def test_without_a_trusted_clock_no_event_is_too_old(connection: sqlite3.Connection) -> None:
    """The size is limited all the same."""
    fill(connection, *[400.0] * 5_000)
    retention = Retention(keep_days=30, max_mb=100)
    assert not retention.step(connection, None, 0)
    assert len(kept(connection)) == 5_000
    small = Retention(keep_days=30, max_mb=2)
    while small.step(connection, None, 0):
        pass
    assert len(kept(connection)) < 5_000


def test_the_journal_counts_as_part_of_the_size(connection: sqlite3.Connection, tmp_path: Path) -> None:
    """A journal that takes the file over its limit is emptied, and no event is deleted for it."""
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    fill(connection, *[1.0] * 3_000)
    journal = tmp_path / "events.db-wal"
    assert journal.stat().st_size > 1_000_000
    assert run(Retention(keep_days=30, max_mb=2), connection) == 1
    assert journal.stat().st_size == 0
    assert len(kept(connection)) == 3_000


def test_a_full_log_loses_its_oldest_events(
    connection: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleting frees a twentieth of the size, and the file shrinks."""
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


def test_a_log_within_its_limits_is_unchanged(connection: sqlite3.Connection) -> None:
    """A nearly full log keeps all events."""
    fill(connection, *[1.0] * 4_000)
    assert run(Retention(keep_days=30, max_mb=2), connection) == 1
    assert len(kept(connection)) == 4_000


def test_every_step_is_small(connection: sqlite3.Connection) -> None:
    """A step deletes a few hundred events at most, so that new events do not wait long."""
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


def test_deleting_unpublished_events_is_reported(
    connection: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning gives the number of deleted events that the broker lacks; others cause none."""
    caplog.set_level(logging.INFO)
    retention = Retention(keep_days=30, max_mb=2)
    fill(connection, *[1.0] * 5_000)
    run(retention, connection, acknowledged=5_000)
    gone = kept(connection)[0] - 1
    assert logged(caplog) == [("INFO", f"the event log reached events.max_mb: deleted its oldest {gone} events")]
    fill(connection, *[1.0] * 1_000)
    run(retention, connection, acknowledged=gone + 100)
    _, (level, said) = logged(caplog)
    unpublished = kept(connection)[0] - 1 - gone - 100
    assert level == "WARNING"
    assert f"deleted {unpublished} events that the broker never received: " in said
    run(retention, connection, acknowledged=gone + 100)
    assert logged(caplog) == []


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Level and text of all log lines since the last call."""
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    caplog.clear()
    return said


def test_deleting_old_unpublished_events_is_reported(
    connection: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says how many old events were deleted, once an hour, and at once if the broker lacks some."""
    caplog.set_level(logging.INFO)
    retention = Retention(keep_days=30, max_mb=2)
    fill(connection, 40.0, 40.0)
    run(retention, connection, acknowledged=2)
    assert logged(caplog) == [("INFO", "deleted 2 events older than events.keep_days, 30 days")]
    fill(connection, 40.0, 40.0)
    run(retention, connection, acknowledged=3)
    [(level, said)] = logged(caplog)
    assert level == "WARNING"
    assert "deleted 1 events that the broker never received: " in said


def test_a_wrong_clock_does_not_empty_the_log(connection: sqlite3.Connection) -> None:
    """If all events suddenly are too old, each check deletes a few only."""
    fill(connection, *[40.0] * 3_000)
    assert run(Retention(keep_days=30, max_mb=2), connection) == 1
    assert len(kept(connection)) == 3_000 - STEP


def test_without_a_broker_there_is_no_warning(connection: sqlite3.Connection, caplog: pytest.LogCaptureFixture) -> None:
    """Deleting events causes no warning if the broker never had any."""
    fill(connection, *[1.0] * 5_000)
    run(Retention(keep_days=30, max_mb=2), connection, acknowledged=0)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_file_that_cannot_shrink_is_limited(tmp_path: Path) -> None:
    """A file without auto-vacuum loses its oldest events as well."""
    with closing(sqlite3.connect(tmp_path / "old.db")) as connection:
        connection.executescript(SCHEMA)
        fill(connection, *[40.0] * 8_000, *[1.0] * 8_000)
        run(Retention(keep_days=30, max_mb=2), connection)
        assert 2_000 < len(kept(connection)) < 5_000


def test_a_file_full_of_other_data_does_not_loop(connection: sqlite3.Connection) -> None:
    """Deleting stops when no events are left."""
    connection.execute("CREATE TABLE other AS SELECT zeroblob(3000000) AS large")
    connection.commit()
    fill(connection, 1.0)
    assert run(Retention(keep_days=30, max_mb=2), connection) < 5
