"""The event log as outbox of the broker, and the ends of sounds that a killed run left on."""

import asyncio
import logging
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from monitor.events import queue
from monitor.events.log import EventLog
from monitor.messages import Detection, Phase
from tests.events.test_log import NOW, Times, detection, full_disk, stored


def opened(folder: Path) -> EventLog:
    """The log in this folder."""
    return EventLog(folder / "events.db", keep_days=30, max_mb=100)


async def pending(log: EventLog, most: int = 99) -> list[str]:
    """The ids of pending detections."""
    return [each.detection.id for each in await log.pending(most)]


async def test_pending_returns_the_oldest_unacknowledged(tmp_path: Path) -> None:
    """Pending detections have the order of recording, also with other times and after a restart."""
    log = opened(tmp_path)
    for number in range(5):
        await log.append(detection(number, age=timedelta(days=number)))
    assert await pending(log, 2) == ["id-0", "id-1"]
    first = await log.pending(2)
    assert await log.pending(2) == first
    await log.acknowledge(first)
    assert await pending(log) == ["id-2", "id-3", "id-4"]
    await log.close()
    again = opened(tmp_path)
    assert await pending(again) == ["id-2", "id-3", "id-4"]
    await again.close()


async def test_the_time_of_recording_is_known_for_this_run(tmp_path: Path) -> None:
    """Detections that waited in memory have a time as well; those of earlier runs have none."""
    log = opened(tmp_path)
    before = time.monotonic()
    with full_disk():
        await log.append(detection(1))
    between = time.monotonic()
    await log.append(detection(2))
    first, second = [each.at or 0.0 for each in await log.pending(2)]
    assert before <= first <= between <= second <= time.monotonic()
    await log.close()
    again = opened(tmp_path)
    assert [each.at for each in await again.pending(2)] == [None, None]
    await again.close()


def test_the_acknowledged_mark_survives_a_kill(tmp_path: Path) -> None:
    """Acknowledged detections are not pending in the next run."""
    code = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.events.test_pending import detection, opened

async def main():
    log = opened(Path(sys.argv[1]))
    for number in range(3):
        await log.append(detection(number))
    await log.acknowledge(await log.pending(2))
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=Path(__file__).parents[2])
    log = opened(tmp_path)
    assert asyncio.run(pending(log)) == ["id-2"]
    asyncio.run(log.close())


async def test_rows_of_version_1_are_not_pending(tmp_path: Path) -> None:
    """A log without a mark counts as acknowledged; new detections are pending."""
    with closing(sqlite3.connect(tmp_path / "events.db")) as old, old:
        old.execute(
            "CREATE TABLE events (sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, phase TEXT NOT NULL, "
            "at REAL NOT NULL, detection BLOB NOT NULL, UNIQUE (id, phase))"
        )
        old.execute(
            "INSERT INTO events (id, phase, at, detection) VALUES ('id-1', 'started', ?, ?)",
            (NOW.timestamp(), msgspec.json.encode(detection(1))),
        )
        old.execute("PRAGMA user_version = 1")
    log = opened(tmp_path)
    assert await pending(log) == []
    await log.append(detection(2))
    await log.close()
    again = opened(tmp_path)
    assert await pending(again) == ["id-2"]
    assert [each.id for each in await again.recent(9)] == ["id-1", "id-2"]
    await again.close()


async def test_detections_in_memory_are_pending(tmp_path: Path) -> None:
    """With a full disk, pending detections come from memory in order, and are acknowledged once."""
    log = opened(tmp_path)
    await log.append(detection(1))
    await log.append(detection(2))
    await log.acknowledge(await log.pending(2))
    with full_disk():
        for number in (3, 4, 5):
            assert not await log.append(detection(number))
        assert await pending(log, 2) == ["id-3", "id-4"]
        await log.acknowledge(await log.pending(2))
        assert await pending(log) == ["id-5"]
    await log.append(detection(6))
    assert [each.id for each in stored(log.path)] == [f"id-{number}" for number in range(1, 7)]
    assert await pending(log) == ["id-5", "id-6"]
    assert log.lost == 0
    await log.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a separate file system with room for some hundred events."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=320k", "none", folder], capture_output=True).returncode:
        pytest.skip("may not mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


async def test_a_full_file_system_loses_nothing(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Detections in the file are pending before those in memory, and all are written once there is space."""
    log = opened(small_disk)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(100_000))
    written = 0
    while await log.append(detection(written)):
        written += 1
    for number in range(written + 1, written + 10):
        assert not await log.append(detection(number))
    everything = [f"id-{number}" for number in range(written + 10)]
    sent = []
    for _ in range((written + 5) // 5):
        recorded = await log.pending(5)
        sent += [each.detection.id for each in recorded]
        await log.acknowledge(recorded)
    assert sent == everything[: len(sent)]
    assert len(sent) > written
    ballast.unlink()
    assert await log.append(detection(written + 10))
    assert [each.id for each in stored(log.path)] == [*everything, f"id-{written + 10}"]
    assert (await pending(log))[0] == everything[len(sent)]
    assert log.lost == 0
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    await log.close()


async def test_memory_is_bounded_while_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The oldest detections are dropped and counted, acknowledged or not."""
    monkeypatch.setattr(queue, "UNWRITTEN", 3)
    caplog.set_level(logging.WARNING)
    log = opened(tmp_path)
    with full_disk():
        for number in range(4):
            await log.append(detection(number))
        await log.acknowledge(await log.pending(2))
        await log.append(detection(4))
        assert await pending(log) == ["id-3", "id-4"]
    await log.append(detection(5))
    assert log.lost == 3
    assert "is writable again; 3 detections were lost" in caplog.text
    assert await pending(log) == ["id-3", "id-4", "id-5"]
    await log.close()


async def test_invalid_rows_are_skipped(tmp_path: Path) -> None:
    """Rows after any number of invalid ones are pending."""
    log = opened(tmp_path)
    await log.append(detection(1))
    with closing(sqlite3.connect(log.path)) as connection, connection:
        for number in range(5):
            connection.execute(
                "INSERT INTO events (id, phase, at, detection) VALUES (?, 'started', unixepoch(), '{}')",
                (f"x{number}",),
            )
    await log.append(detection(2))
    await log.acknowledge(await log.pending(2))
    assert await pending(log, 2) == ["id-2"]
    await log.close()


async def test_a_new_file_is_pending_from_its_first_row(tmp_path: Path) -> None:
    """The mark of a deleted or damaged file, and a late acknowledgement, do not apply to the next file."""
    log = opened(tmp_path)
    for number in range(3):
        await log.append(detection(number))
    old = await log.pending(3)
    await log.acknowledge(old[:2])
    log.path.unlink()
    await log.append(detection(3))
    await log.acknowledge(old[2:])
    assert await pending(log) == ["id-3"]
    await log.acknowledge(await log.pending(1))
    await log.close()
    log.path.write_bytes(b"no database" * 1000)
    damaged = opened(tmp_path)
    await damaged.append(detection(4))
    assert await pending(damaged) == ["id-4"]
    await damaged.close()


async def test_sounds_of_a_killed_run_are_ended(tmp_path: Path) -> None:
    """Sounds without an end get one, once, at the last time in the log, and it is pending."""
    log = opened(tmp_path)
    ended = detection(1, age=timedelta(hours=2))
    left = [detection(2, age=timedelta(hours=1)), detection(3, age=timedelta(hours=-3))]
    for each in (ended, *left, msgspec.structs.replace(ended, phase=Phase.ENDED, ended_at=NOW)):
        await log.append(each)
    await log.acknowledge(await log.pending(4))
    assert await log.end_interrupted() == 2
    expected = [end(left[0], 0), end(left[1], 3)]
    assert [each.detection for each in await log.pending(9)] == expected
    assert stored(log.path)[4:] == expected
    assert await log.end_interrupted() == 0
    await log.close()


@pytest.mark.parametrize("invalid", [False, True])
async def test_sounds_of_a_killed_run_are_ended_once_the_log_can_be_read(tmp_path: Path, invalid: bool) -> None:
    """They end before the first detection of this run is written; a row of another program prevents only that."""
    before = opened(tmp_path / "state")
    await before.append(detection(1))
    await before.close()
    if invalid:
        with closing(sqlite3.connect(before.path)) as connection, connection:
            connection.execute("UPDATE events SET detection = '{}'")
    (tmp_path / "state").rename(tmp_path / "aside")
    (tmp_path / "state").touch()
    log = opened(tmp_path / "state")
    assert await log.end_interrupted() == 0
    assert not await log.append(detection(2))
    (tmp_path / "state").unlink()
    (tmp_path / "aside").rename(tmp_path / "state")
    assert await log.append(detection(3))
    with closing(sqlite3.connect(log.path)) as connection:
        rows = connection.execute("SELECT id, phase FROM events ORDER BY sequence").fetchall()
    ended = [] if invalid else [("id-1", "ended")]
    assert rows == [("id-1", "started"), *ended, ("id-2", "started"), ("id-3", "started")]
    await log.close()


async def test_a_sound_of_a_killed_run_does_not_last_as_long_as_a_jump(tmp_path: Path) -> None:
    """If the clock jumped after its start, it ends at its start: no other time is by the same clock."""
    log = opened(tmp_path)
    await log.append(detection(1, age=timedelta(hours=1)))
    times = Times(NOW.timestamp())
    log = EventLog(log.path, keep_days=30, max_mb=100, clock=times.clock())
    times.wall += 800 * 86_400
    log.watch_clock()
    await log.append(detection(2, age=timedelta(days=-800)))
    assert await log.end_interrupted() == 2
    assert [each.ended_at for each in (await log.recent(2))] == [
        NOW - timedelta(hours=1),
        NOW + timedelta(days=800),
    ]
    await log.close()


def end(started: Detection, hours: float) -> Detection:
    """The end of this sound, this many hours from now."""
    return msgspec.structs.replace(started, phase=Phase.ENDED, ended_at=NOW + timedelta(hours=hours))


async def test_a_log_that_cannot_be_opened_has_nothing_to_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The failure is logged, and the monitor starts."""
    log = EventLog(tmp_path / "file" / "events.db", keep_days=30, max_mb=100)
    (tmp_path / "file").touch()
    assert await log.end_interrupted() == 0
    assert "cannot read event log" in caplog.text
    await log.close()
