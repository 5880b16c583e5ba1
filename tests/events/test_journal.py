"""Detections pass the journal in order and in time, whatever happens to the event log; real SQLite files and faults."""

import asyncio
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from monitor.events import log as event_log
from monitor.events.file import EventFile
from monitor.events.journal import Journal
from monitor.events.log import EventLog
from monitor.messages import Detection, Phase
from tests.events.test_log import detection, full_disk, stored
from tests.mqtt.examples import eventually

LATEST = 1.5
"""Seconds within which every detection is passed on."""


class Room:
    """A journal, what it passed on, and how late."""

    def __init__(self, path: Path) -> None:
        self.log = EventLog(path, keep_days=30, max_mb=100)
        self.journal = Journal(self.log, self.deliver)
        self.recorded: list[Detection] = []
        self.delivered: list[Detection] = []
        self.delays: list[float] = []
        self._at: list[float] = []

    def record(self, count: int = 1) -> None:
        """Record the next detections; returns before anything touches the disk."""
        for _ in range(count):
            number, half = divmod(len(self.recorded), 2)
            self.recorded.append(detection(number, Phase.ENDED if half else Phase.STARTED))
            self._at.append(asyncio.get_running_loop().time())
            self.journal.record(self.recorded[-1])

    def deliver(self, one: Detection) -> None:
        """Take what the journal passes on."""
        self.delays.append(asyncio.get_running_loop().time() - self._at[len(self.delivered)])
        self.delivered.append(one)

    async def settle(self) -> None:
        """Wait until everything is passed on and written."""
        await self.journal.drained()
        await eventually(lambda: not self.log.waiting)


async def test_a_demonstration_is_passed_on_but_not_logged(tmp_path: Path) -> None:
    """The detections of an invented source are delivered at once, marked as not recorded."""
    log = EventLog(tmp_path / "events.db", keep_days=30, max_mb=100)
    delivered: list[Detection] = []
    journal = Journal(log, delivered.append, {"demo"})
    real, invented = detection(0), replace(detection(1), source="demo")
    for one in (real, invented):
        journal.record(one)
    assert delivered == [replace(invented, recorded=False)]
    await journal.drained()
    await log.close()
    assert delivered[1:] == [real]
    assert [each.id for each in stored(tmp_path / "events.db")] == [real.id]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process holds the file's write lock."""
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN IMMEDIATE')"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{code}; print(flush=True); input()", path],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.stdin.close()


@contextmanager
def stalled(path: Path) -> Iterator[None]:
    """A disk that answers no write until the end."""
    answers = threading.Event()
    commit = EventFile._commit

    def slow(*args: Any) -> None:
        answers.wait()
        commit(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EventFile, "_commit", slow)
        try:
            yield
        finally:
            answers.set()


@contextmanager
def unreachable(path: Path) -> Iterator[None]:
    """The folder is away, with a file in its place, and comes back; at no time is the place empty."""
    folder, file = path.parent.readlink(), path.parent.with_name("file")
    file.touch()
    point(path.parent, file)
    yield
    point(path.parent, folder)


def point(link: Path, target: Path) -> None:
    """Let a symbolic link lead to another target from one moment to the next."""
    new = link.with_name("new")
    new.symlink_to(target)
    new.replace(link)


@contextmanager
def full(path: Path) -> Iterator[None]:
    """A full disk."""
    with full_disk():
        yield


FAULTS = [locked, stalled, unreachable, full]
Fault = Callable[[Path], AbstractContextManager[None]]


@pytest.fixture
async def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    """A journal with two detections in its log."""
    monkeypatch.setattr(event_log, "RETRY", 0.05)
    (tmp_path / "folder").mkdir()
    (tmp_path / "state").symlink_to("folder")
    room = Room(tmp_path / "state/events.db")
    room.record(2)
    await room.settle()
    return room


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_fault_of_the_log_delays_or_loses_a_detection(room: Room, fault: Fault) -> None:
    """During the fault each detection is passed on, marked, within 1.5 s; afterwards all are in the log, once."""
    with fault(room.log.path):
        room.record(20)
        await room.journal.drained()
        assert room.log.waiting == 20
        assert room.log.problem
        room.record(1)
        await room.journal.drained()
    room.record(1)
    await room.settle()
    assert [each.recorded for each in room.delivered[2:23]] == [False] * 21
    assert [replace(each, recorded=True) for each in room.delivered] == room.recorded == stored(room.log.path)
    assert max(room.delays) < LATEST
    await eventually(lambda: not room.log.problem)
    assert room.log.lost == 0
    await room.log.close()


async def test_a_random_sequence_of_faults_loses_nothing(room: Room) -> None:
    """Detections come all the time while faults come and go."""
    done = asyncio.Event()

    async def sounds() -> None:
        while not done.is_set():
            room.record()
            await asyncio.sleep(0.005)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(sounds())
        for number in (2, 0, 3, 1, 1, 0, 2, 3):
            count = len(room.delivered)
            with FAULTS[number](room.log.path):
                await eventually(lambda: len(room.delivered) > count + 30)  # noqa: B023
        done.set()
    await room.settle()
    assert [replace(each, recorded=True) for each in room.delivered] == room.recorded == stored(room.log.path)
    assert max(room.delays) < LATEST
    await room.log.close()


async def test_a_detection_is_passed_on_after_its_commit(room: Room) -> None:
    """With a healthy log, what is passed on can be read by others, in order, and is not marked."""
    seen: list[int] = []
    deliver = room.deliver

    def look(one: Detection) -> None:
        deliver(one)
        seen.append(len(stored(room.log.path)))

    room.journal._deliver = look
    room.record(10)
    await room.journal.drained()
    assert room.delivered == room.recorded
    assert all(count > number for number, count in enumerate(seen, 2))
    await room.log.close()


async def test_detections_that_come_together_share_a_commit(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred detections take a few commits."""
    commits: list[int] = []
    commit = EventFile._commit

    def counted(file: EventFile, recorded: Any, published: int) -> None:
        commits.append(len(recorded))
        commit(file, recorded, published)

    monkeypatch.setattr(EventFile, "_commit", counted)
    room.record(100)
    await room.settle()
    assert sum(commits) == 100
    assert len(commits) <= 3
    await room.log.close()


async def test_a_deleted_file_is_replaced_and_reported(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    """Detections after the deletion are in a new file, also if it happens within a commit."""
    room.log.path.unlink()
    room.record(2)
    await room.settle()
    assert stored(room.log.path) == room.recorded[2:]
    assert f"event log {room.log.path} was deleted or replaced: opening it again" in caplog.text
    shutil.rmtree(room.log.path.parent.resolve())
    room.log.path.parent.unlink()
    room.record(2)
    await room.settle()
    assert stored(room.log.path) == room.recorded[4:]
    await room.log.close()


async def test_a_file_deleted_within_a_commit_is_written_again(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """What went to the deleted file is in the new one."""
    commit = EventFile._commit

    def deleting(file: EventFile, recorded: Any, published: int) -> None:
        commit(file, recorded, published)
        monkeypatch.undo()
        file.path.unlink()

    monkeypatch.setattr(EventFile, "_commit", deleting)
    room.record(2)
    await room.settle()
    assert stored(room.log.path) == room.recorded[2:]
    await room.log.close()


async def test_a_swapped_folder_is_noticed(room: Room, tmp_path: Path) -> None:
    """Detections go to the file that the path leads to now, and nothing is lost from the other."""
    other = EventLog(tmp_path / "other/events.db", keep_days=30, max_mb=100)
    await other.append(detection(100))
    await other.close()
    room.log.path.parent.rename(tmp_path / "before")
    (tmp_path / "other").rename(room.log.path.parent)
    room.record(2)
    await room.settle()
    assert stored(room.log.path) == [detection(100), *room.recorded[2:]]
    assert stored(tmp_path / "before/events.db") == room.recorded[:2]
    await room.log.close()


async def test_a_failed_report_of_a_commit_repeats_nothing(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that worked, but was reported as an error, is tried again and adds no row."""
    commit = EventFile._commit

    def unsure(file: EventFile, recorded: Any, published: int) -> None:
        commit(file, recorded, published)
        monkeypatch.setattr(EventFile, "_commit", commit)
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(sqlite3.OperationalError, "sqlite_errorcode", sqlite3.SQLITE_IOERR, raising=False)
    monkeypatch.setattr(EventFile, "_commit", unsure)
    room.record(2)
    await room.settle()
    assert stored(room.log.path) == room.recorded
    await room.log.close()


async def test_the_journal_of_the_file_stays_small(room: Room) -> None:
    """A reader that keeps a snapshot open makes the WAL grow; it shrinks once the reader is gone."""

    def size() -> int:
        return Path(f"{room.log.path}-wal").stat().st_size

    reader = sqlite3.connect(room.log.path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM events").fetchall()
    while size() < 2_000_000:
        room.record(50)
        await room.settle()
    reader.close()
    for _ in range(3):
        room.record(50)
        await room.settle()
    assert size() <= 1_000_000
    await room.log.close()
