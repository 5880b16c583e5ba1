"""The event log: every detection, committed to SQLite before anyone is told, and how far the broker has it.

One thread owns the connection. When the disk is full or the file cannot be opened, detections wait in memory, up to a
bound: that is said once, counted, and mended by itself with the next detection that can be written. A damaged file is
moved aside, and a new one begun. Order is that of recording, never that of the clock, which may be set back.
"""

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from monitor.errors import StorageError
from monitor.events.retention import Retention, allow_shrinking
from monitor.messages import Detection, Phase, Recorded

log = logging.getLogger(__name__)

SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    phase TEXT NOT NULL,
    at REAL NOT NULL,
    detection BLOB NOT NULL,
    UNIQUE (id, phase)
);
CREATE INDEX IF NOT EXISTS events_at ON events (at);
CREATE TABLE IF NOT EXISTS acknowledged (one INTEGER PRIMARY KEY CHECK (one = 1), sequence INTEGER NOT NULL);
"""
VERSION = 2
UNWRITTEN = 1000
"""Most detections that wait in memory for a disk that cannot be written."""
RECENT = 5000
"""Rows whose time of recording is remembered: as many as may be written in the seconds in which that matters."""
TIDY_EVERY = 60.0
"""Seconds from one look for events that are too old or too many to the next."""
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

T = TypeVar("T")

_decoder = msgspec.json.Decoder(Detection)


class EventLog:
    """The detections of this box, oldest first."""

    def __init__(self, path: Path, keep_days: int, max_mb: int) -> None:
        """`max_mb` in units of 10^6 bytes."""
        self.path = path
        self.lost = 0
        """Detections that waited in vain for the disk: newer ones took their place."""
        self._retention = Retention(keep_days, max_mb)
        self._tidy_at = 0.0
        self._closed = False
        self._connection: sqlite3.Connection | None = None
        self._failing = False
        self._unwritten: deque[Recorded] = deque()
        self._told = 0
        """How many of the unwritten, from the first, the broker has."""
        self._acknowledged = 0
        """The last sequence that the broker has; in the file with some delay."""
        self._recorded_at: dict[int, float] = {}
        """When the newest rows were written, by their sequence."""
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="event-log")

    async def append(self, detection: Detection) -> bool:
        """Commit one detection; False when it could not be written, and waits in memory."""
        return await self._on_writer(self._append, detection)

    async def pending(self, most: int) -> list[Recorded]:
        """The oldest detections that the broker has not acknowledged, at most so many."""
        return await self._on_writer(self._pending, most)

    async def acknowledge(self, recorded: Sequence[Recorded]) -> None:
        """The broker has these, the oldest pending ones."""
        await self._on_writer(self._acknowledge, recorded)

    async def end_interrupted(self) -> int:
        """End, in the log, what was on when an earlier run was killed; returns how many.

        Nobody knows when these sounds ended. They get the last moment at which they are known to have been on: that of
        the log's newest entry, or their own start if that is later.
        """
        try:
            interrupted = await self._on_writer(self._mending, self._interrupted)
        except (sqlite3.Error, OSError, msgspec.MsgspecError) as error:
            log.warning("event log %s cannot be read: %s", self.path, error)
            return 0
        for detection in interrupted:
            await self.append(detection)
        return len(interrupted)

    async def recent(self, most: int) -> list[Detection]:
        """The newest detections, oldest of them first; none when the log cannot be read."""
        try:
            return await self._on_writer(self._mending, self._select, most)
        except (sqlite3.Error, OSError, msgspec.MsgspecError) as error:
            log.warning("event log %s cannot be read: %s", self.path, error)
            return []

    async def test(self) -> None:
        """Open the file for writing. Raises `StorageError`."""
        try:
            await self._on_writer(self._connect)
        except (sqlite3.Error, OSError) as error:
            advice = ": the next run keeps it aside and begins a new one" if _is_damage(error) else ""
            raise StorageError(f"event log {self.path} cannot be written: {error}{advice}") from error

    async def close(self) -> None:
        """Finish what is being written and close the file."""
        with contextlib.suppress(sqlite3.Error):
            await self._on_writer(self._finish)
        self._writer.shutdown()

    async def _on_writer(self, function: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, function, *args)

    def _append(self, detection: Detection) -> bool:
        if len(self._unwritten) == UNWRITTEN:
            self._unwritten.popleft()
            self._told = max(0, self._told - 1)
            self.lost += 1
        self._unwritten.append(Recorded(None, detection, time.monotonic()))
        try:
            self._mending(self._write)
        except (sqlite3.Error, OSError) as error:
            if not self._failing:
                log.error("event log %s cannot be written (%s): detections go on, and wait in memory", self.path, error)
            self._failing = True
            return False
        if self._failing:
            log.warning("event log %s is written again; %d detections are not in it", self.path, self.lost)
        self._failing = False
        if time.monotonic() >= self._tidy_at:
            self._tidy_at = time.monotonic() + TIDY_EVERY
            self._writer.submit(self._tidy)
        return True

    def _tidy(self) -> None:
        """One step of cleaning up; the next one queues behind what waits to be written."""
        if self._closed:
            return
        with contextlib.suppress(sqlite3.Error, OSError):  # appending says so
            if self._mending(lambda: self._retention.step(self._connect(), time.time(), self._acknowledged)):
                self._writer.submit(self._tidy)

    def _pending(self, most: int) -> list[Recorded]:
        try:
            pending = self._mending(self._select_pending, most)
        except (sqlite3.Error, OSError):
            pending = []  # appending says so
        if len(pending) < most:
            pending += list(self._unwritten)[self._told : self._told + most - len(pending)]
        return pending

    def _acknowledge(self, recorded: Sequence[Recorded]) -> None:
        for each in recorded:
            if each.sequence is not None:
                self._acknowledged = each.sequence
            elif self._told < len(self._unwritten) and self._unwritten[self._told] is each:
                self._told += 1
        with contextlib.suppress(sqlite3.Error, OSError):
            self._mending(self._save_acknowledged)

    def _finish(self) -> None:
        """A last attempt to write what waits."""
        self._closed = True
        try:
            if self._unwritten:
                self._write()
        finally:
            self._disconnect()

    def _mending(self, function: Callable[..., T], *args: object) -> T:
        """Call it; after an error start afresh, and once more at once if the file was damaged."""
        try:
            return function(*args)
        except sqlite3.Error as error:
            if _code(error) == sqlite3.SQLITE_FULL:
                raise  # what is open can still be read, and could not be opened again
            with contextlib.suppress(sqlite3.Error):
                self._disconnect()
            if not _is_damage(error):
                raise
            self._move_aside(error)
        return function(*args)

    def _move_aside(self, error: sqlite3.Error) -> None:
        """Keep the damaged file, with its journal, for whoever may want to rescue it."""
        self._begin_anew()
        aside = f"{self.path}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self.path}{suffix}").rename(f"{aside}{suffix}")
        log.error("event log %s is damaged (%s): it is kept as %s, and a new one begun", self.path, error, aside)

    def _begin_anew(self) -> None:
        """The next file counts from one."""
        self._acknowledged = 0
        self._recorded_at.clear()

    def _connect(self) -> sqlite3.Connection:
        if self._connection is not None and not self.path.exists():
            self._disconnect()  # deleted under us: what is written there would be gone
            self._begin_anew()
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, check_same_thread=False)
            try:
                allow_shrinking(connection)
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")  # an event survives a power cut
                self._prepare(connection)
            except sqlite3.Error:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Make the tables, or bring them up to date. The broker has what an earlier version wrote."""
        ((version,),) = connection.execute("PRAGMA user_version").fetchall()
        if version < VERSION:
            with connection:
                connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}")
                connection.execute(
                    "INSERT OR IGNORE INTO acknowledged "
                    "SELECT 1, CASE ? WHEN 0 THEN 0 ELSE coalesce(max(sequence), 0) END FROM events",
                    (version,),
                )
        ((acknowledged,),) = connection.execute("SELECT sequence FROM acknowledged").fetchall()
        self._acknowledged = max(self._acknowledged, acknowledged)

    def _write(self) -> None:
        """Commit all that waits; what the broker has of it counts as acknowledged if nothing before it is pending."""
        connection = self._connect()
        acknowledged = self._acknowledged
        recorded_at: dict[int, float] = {}
        with connection:
            ((last,),) = connection.execute("SELECT coalesce(max(sequence), 0) FROM events").fetchall()
            for number, recorded in enumerate(self._unwritten):
                detection = recorded.detection
                sequence = connection.execute(
                    "INSERT OR IGNORE INTO events (id, phase, at, detection) VALUES (?, ?, ?, ?)",
                    (detection.id, detection.phase, detection.started_at.timestamp(), msgspec.json.encode(detection)),
                ).lastrowid
                recorded_at[sequence or 0] = recorded.at or 0.0
                if number < self._told and self._acknowledged >= last:
                    acknowledged = max(acknowledged, sequence or 0)
        self._acknowledged = acknowledged
        self._recorded_at |= recorded_at
        while len(self._recorded_at) > RECENT:
            del self._recorded_at[next(iter(self._recorded_at))]
        self._unwritten.clear()
        self._told = 0

    def _select_pending(self, most: int) -> list[Recorded]:
        pending: list[Recorded] = []
        while not pending and (
            rows := self._connect()
            .execute(
                "SELECT sequence, detection FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?",
                (self._acknowledged, most),
            )
            .fetchall()
        ):
            for sequence, blob in rows:
                try:
                    pending.append(Recorded(sequence, _decoder.decode(blob), self._recorded_at.get(sequence)))
                except msgspec.MsgspecError as error:
                    log.warning("event log %s: passing over entry %d: %s", self.path, sequence, error)
                    if not pending:
                        self._acknowledged = sequence
        return pending

    def _save_acknowledged(self) -> None:
        """Not worth a wait for the disk: after a power cut the broker is told some twice."""
        connection = self._connect()
        connection.execute("PRAGMA synchronous = NORMAL")
        try:
            with connection:
                connection.execute("UPDATE acknowledged SET sequence = ?", (self._acknowledged,))
        finally:
            connection.execute("PRAGMA synchronous = FULL")

    def _interrupted(self) -> list[Detection]:
        """The ends of what has started and not ended."""
        connection = self._connect()
        started = connection.execute(
            "SELECT detection FROM events WHERE phase = 'started' AND id IN "
            "(SELECT id FROM events GROUP BY id HAVING count(*) = 1) ORDER BY sequence"
        ).fetchall()
        if not started:
            return []
        [newest] = self._select(1)
        known = newest.ended_at or newest.started_at
        return [_ended(_decoder.decode(blob), known) for (blob,) in started]

    def _select(self, most: int) -> list[Detection]:
        rows = (
            self._connect().execute("SELECT detection FROM events ORDER BY sequence DESC LIMIT ?", (most,)).fetchall()
        )
        return [_decoder.decode(blob) for (blob,) in reversed(rows)]


def _ended(started: Detection, known: datetime) -> Detection:
    ended_at = max(started.started_at, known)
    return msgspec.structs.replace(started, phase=Phase.ENDED, ended_at=ended_at)


def _is_damage(error: Exception) -> bool:
    """The file itself is at fault, not the disk or its rights."""
    return isinstance(error, sqlite3.Error) and _code(error) in DAMAGED


def _code(error: sqlite3.Error) -> int:
    return error.sqlite_errorcode & 0xFF
