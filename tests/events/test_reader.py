"""Reading the event log beside its writer, from real files."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from monitor.errors import StorageError
from monitor.events.log import EventLog
from monitor.events.reader import STEP, EventReader, Query
from monitor.messages import Detection, Phase

NOON = datetime(2026, 5, 17, 12, tzinfo=UTC)


def started(number: int, label: str = "Dog", source: str = "hall") -> Detection:
    """A start this many minutes after noon."""
    return Detection(
        id=f"id-{number:05}",
        node="node",
        source=source,
        model="ears",
        label=label,
        phase=Phase.STARTED,
        started_at=NOON + timedelta(minutes=number),
        score=0.75,
        peak=0.75,
    )


def ended(start: Detection) -> Detection:
    """The end of this sound, ten seconds later."""
    end = start.started_at + timedelta(seconds=10)
    return msgspec.structs.replace(start, phase=Phase.ENDED, ended_at=end, score=0.125, peak=0.875)


def halves(events: list[bytes]) -> list[tuple[int, str]]:
    """Number and phase of each event."""
    read = [msgspec.json.decode(event, type=Detection) for event in events]
    return [(int(one.id[3:]), one.phase.value) for one in read]


@asynccontextmanager
async def writing(path: Path) -> AsyncIterator[EventLog]:
    """A log with an open writer."""
    log = EventLog(path, keep_days=36500, max_mb=100)
    try:
        yield log
    finally:
        await log.close()


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[EventLog]:
    """A log with a writer that is open during the test."""
    async with writing(tmp_path / "events.db") as log:
        yield log


def files(folder: Path) -> list[str]:
    """The names of all files in a folder."""
    return [path.name for path in folder.iterdir()]


def allow(path: Path, mode: int) -> None:
    """Set the permissions of a file."""
    path.chmod(mode)


async def test_starts_and_ends_are_read_as_recorded(log: EventLog) -> None:
    """`recorded` yields the bytes that were written, while the writer is open."""
    for event in (started(1), started(2), ended(started(1))):
        await log.append(event)
    assert list(EventReader(log.path, Query()).recorded()) == [
        msgspec.json.encode(event) for event in (started(1), started(2), ended(started(1)))
    ]


async def test_starts_and_ends_are_joined(log: EventLog) -> None:
    """`joined` yields each detection once, in the order of starts: its end, or its start while it is on."""
    for event in (started(1), started(2), started(3), ended(started(3)), ended(started(1))):
        await log.append(event)
    joined = list(EventReader(log.path, Query()).joined())
    assert halves(joined) == [(1, "ended"), (2, "started"), (3, "ended")]
    first = msgspec.json.decode(joined[0], type=Detection)
    assert first == msgspec.structs.replace(ended(started(1)), score=started(1).score)


async def test_an_end_without_a_start_is_read(log: EventLog) -> None:
    """An end is read even if its start was lost."""
    for event in (started(1), ended(started(2)), ended(started(1))):
        await log.append(event)
    assert halves(list(EventReader(log.path, Query()).joined())) == [(1, "ended"), (2, "ended")]


async def test_the_newest_can_be_selected(log: EventLog) -> None:
    """The number counts detections for `joined` and rows for `recorded`; fewer events are all read."""
    for number in range(1, 5):
        await log.append(started(number))
        await log.append(ended(started(number)))
    assert halves(list(EventReader(log.path, Query()).joined(2))) == [(3, "ended"), (4, "ended")]
    assert halves(list(EventReader(log.path, Query()).recorded(3))) == [(3, "ended"), (4, "started"), (4, "ended")]
    assert len(list(EventReader(log.path, Query()).joined(9))) == 4


async def test_events_are_filtered(log: EventLog) -> None:
    """Filters by start time, label in any case and source apply together."""
    await log.append(started(1, "Dog", "hall"))
    await log.append(started(2, "Glass breaking", "hall"))
    await log.append(started(3, "Dog", "attic"))
    await log.append(started(4, "Cat", "attic"))
    await log.append(ended(started(3, "Dog", "attic")))

    def chosen(query: Query, newest: int | None = None) -> list[int]:
        return [number for number, _ in halves(list(EventReader(log.path, query).joined(newest)))]

    assert chosen(Query(since=NOON + timedelta(minutes=3))) == [3, 4]
    assert chosen(Query(until=NOON + timedelta(minutes=3))) == [1, 2]
    assert chosen(Query(labels=("dog", "GLASS breaking"))) == [1, 2, 3]
    assert chosen(Query(sources=("attic",))) == [3, 4]
    assert chosen(Query(sources=("Attic",))) == []
    assert chosen(Query(labels=("Dog",), sources=("attic",))) == [3]
    assert chosen(Query(since=NOON + timedelta(minutes=2), until=NOON + timedelta(minutes=4), labels=("Dog",))) == [3]
    assert chosen(Query(labels=("Dog",)), newest=1) == [3]


async def test_a_long_log_is_read_in_steps(log: EventLog) -> None:
    """Steps neither skip nor repeat rows, and include rows written meanwhile."""
    await log.append(started(0))
    with closing(sqlite3.connect(log.path)) as connection, connection:
        events = [started(number) for number in range(1, STEP + 1)]
        connection.executemany(
            "INSERT INTO events (id, phase, at, detection) VALUES (?, 'started', 0, ?)",
            [(event.id, msgspec.json.encode(event)) for event in events],
        )
    reading = EventReader(log.path, Query()).recorded()
    first = next(reading)
    await log.append(ended(started(0)))
    expected = [(number, "started") for number in range(STEP + 1)] + [(0, "ended")]
    assert halves([first, *reading]) == expected


async def test_new_events_are_read_next(tmp_path: Path) -> None:
    """The next read continues after the last row, also in a new file."""
    path = tmp_path / "events.db"
    reader = EventReader(path, Query(labels=("Dog",)))
    async with writing(path) as log:
        await log.append(started(1))
        await log.append(started(2))
        assert halves(list(reader.recorded(1))) == [(2, "started")]
        assert list(reader.recorded()) == []
        await log.append(started(3, "Cat"))
        await log.append(ended(started(2)))
        assert halves(list(reader.recorded())) == [(2, "ended")]
    path.rename(tmp_path / "aside.db")
    async with writing(path) as log:
        await log.append(started(4))
        assert halves(list(reader.recorded())) == [(4, "started")]


async def test_a_reader_does_not_block_the_writer(log: EventLog) -> None:
    """The journal can be truncated while a reader is active."""
    for number in range(3):
        await log.append(started(number))
    reading = EventReader(log.path, Query()).recorded()
    next(reading)
    with closing(sqlite3.connect(log.path)) as connection:
        busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert not busy


async def test_reading_changes_no_file(tmp_path: Path) -> None:
    """Reading a log without a writer creates no journal."""
    path = tmp_path / "events.db"
    async with writing(path) as log:
        await log.append(started(1))
    before = path.read_bytes()
    assert halves(list(EventReader(path, Query()).joined())) == [(1, "started")]
    assert files(tmp_path) == ["events.db"]
    assert path.read_bytes() == before


async def test_the_log_of_a_killed_program_is_read(log: EventLog, tmp_path: Path) -> None:
    """Events that are only in the journal are read."""
    await log.append(started(1))
    for suffix in ("", "-wal"):
        shutil.copy(f"{log.path}{suffix}", tmp_path / f"left.db{suffix}")
    assert halves(list(EventReader(tmp_path / "left.db", Query()).joined())) == [(1, "started")]


@contextmanager
def as_nobody() -> Iterator[None]:
    """Run as a user without rights."""
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can switch users")
async def test_read_permission_is_enough() -> None:
    """A user with read permission can read with and without a writer; without it, the error says so."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "events.db")
        allow(path.parent, 0o755)
        async with writing(path) as log:
            await log.append(started(1))
            with as_nobody():
                assert halves(list(EventReader(path, Query()).joined())) == [(1, "started")]
        with as_nobody():
            assert halves(list(EventReader(path, Query()).joined())) == [(1, "started")]
        allow(path, 0o600)
        with as_nobody(), pytest.raises(StorageError, match="Permission denied; try as the user of the monitor"):
            list(EventReader(path, Query()).joined())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no event log .* yet: the monitor creates it with the first detection"),
        (b"no database" * 1000, "is damaged .*: the next run moves it aside and starts a new one"),
        (b"", "is not an event log: no such table: events"),
    ],
)
def test_a_file_that_is_not_a_log_is_an_error(tmp_path: Path, content: bytes | None, said: str) -> None:
    """A missing, foreign or empty file is an error, and unchanged."""
    path = tmp_path / "some#where?.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StorageError, match=said):
        list(EventReader(path, Query()).joined())
    assert (path.read_bytes() if path.exists() else None) == content


async def test_damaged_pages_are_an_error(tmp_path: Path) -> None:
    """A file with an intact start and damaged pages is an error."""
    path = tmp_path / "events.db"
    async with writing(path) as log:
        for number in range(100):
            await log.append(started(number))
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with pytest.raises(StorageError, match="is damaged"):
        list(EventReader(path, Query()).joined())
