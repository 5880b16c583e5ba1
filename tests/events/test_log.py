"""The event log, with real SQLite files: writing, deleting, damage and full disks."""

import asyncio
import logging
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from monitor.errors import StorageError
from monitor.events.clock import PLAUSIBLE, WallClock
from monitor.events.log import EventLog
from monitor.events.reader import EventReader, Query
from monitor.messages import Detection, Phase

NOW = datetime.now(UTC)


def detection(number: int, phase: Phase = Phase.STARTED, age: timedelta = timedelta(0)) -> Detection:
    """A detection with this number."""
    return Detection(
        id=f"id-{number}",
        node="node",
        source="room",
        model="ears",
        label="Glass breaking",
        phase=phase,
        started_at=NOW - age,
        ended_at=NOW if phase is Phase.ENDED else None,
        score=0.75,
        peak=0.875,
    )


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[EventLog]:
    """A log in a folder that does not exist yet."""
    log = EventLog(tmp_path / "state/events.db", keep_days=30, max_mb=100)
    yield log
    await log.close()


class Times:
    """A wall clock that can be set, and a steady one."""

    def __init__(self, wall: float) -> None:
        self.wall, self.steady = wall, 1000.0

    def passes(self, seconds: float) -> None:
        """Both clocks advance."""
        self.wall += seconds
        self.steady += seconds

    def clock(self) -> WallClock:
        """A new run's view of both."""
        return WallClock(lambda: self.wall, lambda: self.steady)


def stored(path: Path) -> list[Detection]:
    """The detections that another connection reads."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT detection FROM events ORDER BY sequence").fetchall()
    return [msgspec.json.decode(blob, type=Detection) for (blob,) in rows]


def used(path: Path) -> int:
    """Bytes used by the events."""
    with closing(sqlite3.connect(path)) as connection:
        count, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
    return int((count - free) * size)


@contextmanager
def full_disk() -> Iterator[None]:
    """Limit files to their first bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_an_event_is_visible_at_once(log: EventLog) -> None:
    """When `append` returns, another connection can read the detection."""
    for phase in Phase:
        assert await log.append(detection(1, phase))
        assert stored(log.path)[-1] == detection(1, phase)
    assert len(stored(log.path)) == 2


async def test_recent_returns_the_newest_oldest_first(log: EventLog) -> None:
    """`recent` returns the requested number of detections, or all if there are fewer."""
    assert await log.recent(3) == []
    for number in range(5):
        await log.append(detection(number))
    assert [event.id for event in await log.recent(3)] == ["id-2", "id-3", "id-4"]
    assert [event.id for event in await log.recent(9)] == [f"id-{number}" for number in range(5)]


async def test_the_log_survives_a_restart(log: EventLog) -> None:
    """The next run continues the same log."""
    await log.append(detection(1))
    again = EventLog(log.path, keep_days=30, max_mb=100)
    await again.append(detection(2))
    assert [event.id for event in await again.recent(9)] == ["id-1", "id-2"]
    await again.close()


async def test_old_events_are_deleted(log: EventLog) -> None:
    """Events older than `keep_days` are deleted once the clock has been steady for a day, over a restart."""
    await log.append(detection(0, age=timedelta(days=31)))
    await log.append(detection(1, age=timedelta(days=29)))
    times = Times(NOW.timestamp())
    for number in range(2, 5):
        again = EventLog(log.path, keep_days=30, max_mb=100, clock=times.clock())
        assert await again.append(detection(number))
        await again.append(detection(number, Phase.ENDED))  # queues behind the clean-up
        assert ("id-0" in [event.id for event in stored(log.path)]) == (number < 4)
        times.passes(PLAUSIBLE / 2)
        again.watch_clock()
        await again.close()
    assert next(event.id for event in stored(log.path)) == "id-1"


async def test_a_clock_that_jumps_is_marked_and_deletes_nothing(
    log: EventLog, caplog: pytest.LogCaptureFixture
) -> None:
    """Each jump gives one mark and one log line, also if the log is locked; years ahead, no event is too old."""
    times = Times(NOW.timestamp())
    log = EventLog(log.path, keep_days=30, max_mb=100, clock=times.clock())
    await log.append(detection(1))
    times.passes(2 * PLAUSIBLE)
    log.watch_clock()
    for jump in (800 * 86_400.0, -800 * 86_400.0, 3600.0):
        times.wall += jump
        for _ in range(3):
            log.watch_clock()
            times.passes(2.0)
    await log.append(detection(2))
    await log.append(detection(3))
    assert [event.id for event in stored(log.path)] == ["id-1", "id-2", "id-3"]
    with closing(sqlite3.connect(log.path)) as connection:
        jumps = connection.execute("SELECT sequence, seconds FROM jumps").fetchall()
    assert jumps == [(1, pytest.approx(800 * 86_400)), (1, pytest.approx(-800 * 86_400)), (1, pytest.approx(3600))]
    assert [said for _, said in logged(caplog) if "wall clock" in said][2].startswith(
        "the wall clock was set by +3600.0 s: events keep their times"
    )
    await log.close()


async def test_a_clock_behind_the_last_run_is_marked(log: EventLog, caplog: pytest.LogCaptureFixture) -> None:
    """The log says so once; a run that starts soon after the last one says nothing."""
    times = Times(NOW.timestamp())
    for moved in (0.0, 60.0, -3600.0, 60.0):
        times.passes(0.0)
        times.wall += moved
        run = EventLog(log.path, keep_days=30, max_mb=100, clock=times.clock())
        await run.append(detection(int(times.wall)))
        await run.append(detection(int(times.wall), Phase.ENDED))  # queues behind the clean-up
        await run.close()
    with closing(sqlite3.connect(log.path)) as connection:
        assert connection.execute("SELECT seconds FROM jumps").fetchall() == [(pytest.approx(-3600.0),)]
    [(level, said)] = logged(caplog)
    assert (level, said.split(":")[0]) == ("WARNING", "the wall clock is 3600.0 s behind the last run")


async def test_a_log_that_is_too_large_shrinks(log: EventLog) -> None:
    """A write starts to delete the oldest events, in steps with other writes in between, until the file is small."""
    await log.append(detection(0))
    with closing(sqlite3.connect(log.path)) as connection, connection:
        connection.executemany(
            "INSERT INTO events (id, phase, at, detection) VALUES (?, 'started', ?, ?)",
            [
                (one.id, NOW.timestamp(), msgspec.json.encode(one))
                for one in (detection(number) for number in range(1, 10_000))
            ],
        )
    again = EventLog(log.path, keep_days=30, max_mb=1)
    number = 10_000
    assert used(log.path) > 1_000_000
    while used(log.path) > 1_000_000:
        assert await again.append(detection(number))
        number += 1
        await asyncio.sleep(0.05)
    await again.close()
    await log.append(detection(number))
    left = [int(event.id[3:]) for event in stored(log.path)]
    assert left == list(range(left[0], number + 1))
    with closing(sqlite3.connect(log.path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert log.path.stat().st_size <= 1_000_000


def test_an_event_survives_a_kill(tmp_path: Path) -> None:
    """An event is in the file if the program is killed directly after `append`."""
    path = tmp_path / "events.db"
    code = """
import asyncio, os, signal, sys
from pathlib import Path
from monitor.events.log import EventLog
from monitor.events.reader import EventReader, Query
from tests.events.test_log import detection

async def main():
    log = EventLog(Path(sys.argv[1]), 30, 100)
    for number in range(3):
        await log.append(detection(number))
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=Path(__file__).parents[2])
    assert done.returncode == -signal.SIGKILL
    assert [event.id for event in stored(path)] == ["id-0", "id-1", "id-2"]


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Level and text of all log lines since the last call."""
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    caplog.clear()
    return said


async def test_a_full_disk_is_reported_once(log: EventLog, caplog: pytest.LogCaptureFixture) -> None:
    """Detections wait in memory until the next successful write; older events are intact."""
    caplog.set_level(logging.INFO)
    assert await log.append(detection(1))
    with full_disk():
        assert not await log.append(detection(2))
        assert not await log.append(detection(3))
    [(level, said)] = logged(caplog)
    assert level == "ERROR"
    assert said.startswith(f"cannot write event log {log.path} (")
    assert said.endswith("): detections wait in memory")
    assert await log.append(detection(4))
    assert await log.append(detection(5))
    assert logged(caplog) == [("WARNING", f"event log {log.path} is writable again; 0 detections were lost")]
    assert [event.id for event in stored(log.path)] == ["id-1", "id-2", "id-3", "id-4", "id-5"]


async def test_a_folder_that_cannot_be_created_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Reads and writes fail with a log line, and work once the folder can be created, also on closing."""
    (tmp_path / "state").touch()
    log = EventLog(tmp_path / "state/events.db", keep_days=30, max_mb=100)
    assert not await log.append(detection(1))
    assert await log.recent(9) == []
    with pytest.raises(StorageError, match=r"cannot write event log .*/events\.db: "):
        await log.test()
    assert [level for level, _ in logged(caplog)] == ["ERROR", "WARNING"]
    (tmp_path / "state").unlink()
    await log.close()
    assert stored(log.path) == [detection(1)]


async def test_a_file_that_is_not_a_database_is_moved_aside(log: EventLog, caplog: pytest.LogCaptureFixture) -> None:
    """The file is renamed with a log line, and no event is lost."""
    log.path.parent.mkdir()
    log.path.write_bytes(b"no database" * 1000)
    assert await log.append(detection(1))
    assert stored(log.path) == [detection(1)]
    [kept] = log.path.parent.glob("events.db.damaged-*Z")
    assert kept.read_bytes() == b"no database" * 1000
    [(level, said)] = logged(caplog)
    assert level == "ERROR"
    assert said == f"event log {log.path} is damaged (file is not a database): moved to {kept}, starting a new one"


async def test_damage_found_while_reading_is_handled(log: EventLog, caplog: pytest.LogCaptureFixture) -> None:
    """A database with an intact start and damaged pages is moved aside on reading."""
    before = EventLog(log.path, keep_days=30, max_mb=100)
    for number in range(100):
        await before.append(detection(number))
    await before.close()
    content = log.path.read_bytes()
    log.path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    assert await log.recent(9) == []
    assert await log.append(detection(1))
    assert await log.recent(9) == [detection(1)]
    assert "is damaged" in logged(caplog)[0][1]


async def test_a_deleted_file_is_created_again(log: EventLog) -> None:
    """Events after the deletion are in a new file."""
    await log.append(detection(1))
    log.path.unlink()
    assert await log.append(detection(2))
    assert stored(log.path) == [detection(2)]


async def test_the_check_leaves_a_damaged_file_unchanged(log: EventLog) -> None:
    """`test` reports the damage only."""
    log.path.parent.mkdir()
    log.path.write_bytes(b"no database" * 1000)
    with pytest.raises(StorageError, match="file is not a database: the next run moves it aside and starts a new one"):
        await log.test()
    assert list(log.path.parent.iterdir()) == [log.path]


async def test_an_invalid_row_does_not_stop_a_start(log: EventLog, caplog: pytest.LogCaptureFixture) -> None:
    """A row of another program hides the history, with a log line."""
    await log.append(detection(1))
    with closing(sqlite3.connect(log.path)) as connection, connection:
        connection.execute("INSERT INTO events (id, phase, at, detection) VALUES ('x', 'started', unixepoch(), '{}')")
    assert await log.recent(9) == []
    assert "cannot read event log" in logged(caplog)[0][1]
    assert await log.append(detection(2))


async def test_an_event_with_a_field_that_no_longer_exists_is_read(log: EventLog) -> None:
    """Version 0.1.0 wrote `clip`; the history, the outbox and the ends of interrupted sounds do without it."""
    await log.append(detection(1))
    with closing(sqlite3.connect(log.path)) as connection, connection:
        connection.execute("UPDATE events SET detection = json_set(CAST(detection AS TEXT), '$.clip', NULL)")
        [(written,)] = connection.execute("SELECT detection FROM events").fetchall()
    assert '"clip":null' in written
    assert await log.recent(9) == [detection(1)]
    assert [each.detection for each in await log.pending(9)] == [detection(1)]
    assert await log.end_interrupted() == 1
    assert (await log.recent(9))[1].phase is Phase.ENDED
    query = Query(labels=("glass breaking",))
    assert len(list(EventReader(log.path, query).joined())) == 1
