"""The event log: every detection, committed to SQLite before anyone is told of it.

One thread owns the connection. When the disk is full or the file cannot be opened, detections go on without the log:
that is said once, counted, and mended by itself with the next detection that can be written. A damaged file is moved
aside, and a new one begun.
"""

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from monitor.errors import StorageError
from monitor.messages import Detection

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
"""
VERSION = 1
PRUNE_EVERY = 86_400.0
"""Seconds between two deletions of old events."""
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

T = TypeVar("T")

_decoder = msgspec.json.Decoder(Detection)


class EventLog:
    """The detections of this box, oldest first."""

    def __init__(self, path: Path, keep_days: int) -> None:
        self.path = path
        self.lost = 0
        """Detections that could not be written."""
        self._keep = keep_days * 86_400.0
        self._pruned = 0.0
        self._connection: sqlite3.Connection | None = None
        self._failing = False
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="event-log")

    async def append(self, detection: Detection) -> bool:
        """Commit one detection; False when it could not be written."""
        try:
            await self._on_writer(self._mending, self._insert, detection)
        except (sqlite3.Error, OSError) as error:
            self.lost += 1
            if not self._failing:
                log.error("event log %s cannot be written (%s): detections go on, but are not kept", self.path, error)
            self._failing = True
            return False
        if self._failing:
            log.warning("event log %s is written again; %d detections are not in it", self.path, self.lost)
        self._failing = False
        return True

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
            await self._on_writer(self._disconnect)
        self._writer.shutdown()

    async def _on_writer(self, function: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, function, *args)

    def _mending(self, function: Callable[..., T], *args: object) -> T:
        """Call it; after an error start afresh, and once more at once if the file was damaged."""
        try:
            return function(*args)
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                self._disconnect()
            if not _is_damage(error):
                raise
            self._move_aside(error)
        return function(*args)

    def _move_aside(self, error: sqlite3.Error) -> None:
        """Keep the damaged file, with its journal, for whoever may want to rescue it."""
        aside = f"{self.path}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self.path}{suffix}").rename(f"{aside}{suffix}")
        log.error("event log %s is damaged (%s): it is kept as %s, and a new one begun", self.path, error, aside)

    def _connect(self) -> sqlite3.Connection:
        if self._connection is not None and not self.path.exists():
            self._disconnect()  # deleted under us: what is written there would be gone
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, check_same_thread=False)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")  # an event survives a power cut
                connection.executescript(SCHEMA)
                connection.execute(f"PRAGMA user_version = {VERSION}")
            except sqlite3.Error:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    def _insert(self, detection: Detection) -> None:
        with self._connect() as connection:
            connection.execute(
                "INSERT INTO events (id, phase, at, detection) VALUES (?, ?, ?, ?)",
                (detection.id, detection.phase, detection.started_at.timestamp(), msgspec.json.encode(detection)),
            )
            if time.monotonic() - self._pruned > PRUNE_EVERY or not self._pruned:
                connection.execute("DELETE FROM events WHERE at < ?", (time.time() - self._keep,))
                self._pruned = time.monotonic()

    def _select(self, most: int) -> list[Detection]:
        rows = (
            self._connect().execute("SELECT detection FROM events ORDER BY sequence DESC LIMIT ?", (most,)).fetchall()
        )
        return [_decoder.decode(blob) for (blob,) in reversed(rows)]


def _is_damage(error: Exception) -> bool:
    """The file itself is at fault, not the disk or its rights."""
    return isinstance(error, sqlite3.Error) and error.sqlite_errorcode & 0xFF in DAMAGED
