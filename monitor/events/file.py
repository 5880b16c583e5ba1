"""The event log's SQLite file: opened on demand, moved aside if damaged, created again if deleted.

For one thread. Rows have the order of recording, never that of the clock, which may be set back.
"""

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from monitor.events.retention import JOURNAL_BYTES, allow_shrinking
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
CREATE TABLE IF NOT EXISTS clock (one INTEGER PRIMARY KEY CHECK (one = 1), seen REAL NOT NULL, plausible REAL NOT NULL);
CREATE TABLE IF NOT EXISTS jumps (
    number INTEGER PRIMARY KEY AUTOINCREMENT, sequence INTEGER NOT NULL, at REAL NOT NULL, seconds REAL NOT NULL
);
"""
VERSION = 3
JUMPS = 1000
"""Newest jumps of the wall clock that the file keeps."""
RECENT = 5000
"""Rows with a known time of recording: enough for the few seconds in which it matters."""
BUSY = 0.2
"""Seconds to wait for another program that locks the file; detections wait in memory meanwhile."""
JOURNAL_PAGES = 250
"""Pages of the journal (WAL) after which they move to the file."""
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_T = TypeVar("_T")

_decoder = msgspec.json.Decoder(Detection)


class EventFile:
    """Rows of detections, and the last one that the broker has. All methods may raise `sqlite3.Error` or `OSError`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.acknowledged = 0
        """The last sequence that the broker has; `save_acknowledged` writes it to the file."""
        self._pending: tuple[int, ...] = ()
        """The sequences that `pending` returned last; empty after the file was replaced."""
        self._recorded_at: dict[int, float] = {}
        """Time of recording of the newest rows, monotonic seconds by sequence."""
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None
        """Which file the connection has open."""

    def connect(self) -> sqlite3.Connection:
        """Open the file, and create the tables if it is new."""
        if self._connection is not None and self._replaced():
            log.warning("event log %s was deleted or replaced: opening it again", self.path)
            self.disconnect()
            self._forget()
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, timeout=BUSY, check_same_thread=False)
            try:
                allow_shrinking(connection)
                connection.execute(f"PRAGMA wal_autocheckpoint = {JOURNAL_PAGES}")
                connection.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES}")
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")  # an event survives a power cut
                self._prepare(connection)
            except sqlite3.Error:
                connection.close()
                raise
            self._connection, self._opened = connection, _identity(self.path)
        return self._connection

    def disconnect(self) -> None:
        """Close the file."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    def retrying(self, function: Callable[..., _T], *args: object) -> _T:
        """Call the function. After an error close the file; if it is damaged, move it aside and call again."""
        try:
            return function(*args)
        except sqlite3.Error as error:
            if _code(error) == sqlite3.SQLITE_FULL or is_busy(error):
                raise  # the open file is still readable, and opening it again would fail
            with contextlib.suppress(sqlite3.Error):
                self.disconnect()
            if not is_damage(error):
                raise
            self._move_aside(error)
        return function(*args)

    def write(self, recorded: Sequence[Recorded], published: int) -> None:
        """Commit all; the first `published` count as acknowledged if no earlier row is pending."""
        self._commit(recorded, published)
        if self._replaced():  # in between: the rows went to a file that nobody can open any more
            self._commit(recorded, published)

    def end_interrupted(self) -> int:
        """End the sounds without an end, and return their number. May raise `msgspec.MsgspecError` as well."""
        ends = [Recorded(None, each) for each in self._interrupted()]
        if ends:
            self.write(ends, 0)
        return len(ends)

    def pending(self, most: int) -> list[Recorded]:
        """Return the oldest rows that are not acknowledged, at most `most`; skip rows that cannot be decoded."""
        pending: list[Recorded] = []
        while not pending and (
            rows := self.connect()
            .execute(
                "SELECT sequence, detection FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?",
                (self.acknowledged, most),
            )
            .fetchall()
        ):
            for sequence, blob in rows:
                try:
                    pending.append(Recorded(sequence, _decoder.decode(blob), self._recorded_at.get(sequence)))
                except msgspec.MsgspecError as error:
                    log.warning("event log %s: skipping invalid entry %d: %s", self.path, sequence, error)
                    if not pending:
                        self.acknowledged = sequence
        self._pending = tuple(each.sequence for each in pending if each.sequence is not None)
        return pending

    def acknowledge(self, recorded: Recorded) -> None:
        """Mark a row that `pending` returned last as acknowledged; ignore rows of an earlier file."""
        if recorded.sequence in self._pending:
            self.acknowledged = recorded.sequence

    def newest(self, most: int) -> list[Detection]:
        """Return the newest rows, oldest first. Raises `msgspec.MsgspecError` for a row that cannot be decoded."""
        rows = self.connect().execute("SELECT detection FROM events ORDER BY sequence DESC LIMIT ?", (most,)).fetchall()
        return [_decoder.decode(blob) for (blob,) in reversed(rows)]

    def add_jump(self, at: float, seconds: float) -> None:
        """Mark, after the newest row, that the wall clock was set by so many seconds, to the time `at`."""
        with self.connect() as connection:
            connection.execute(
                "INSERT INTO jumps (sequence, at, seconds) SELECT coalesce(max(sequence), 0), ?, ? FROM events",
                (at, seconds),
            )
            connection.execute("DELETE FROM jumps WHERE number <= (SELECT max(number) FROM jumps) - ?", (JUMPS,))

    def clock(self) -> tuple[float, float] | None:
        """Return when the wall clock was last seen, by itself, and for how many seconds it was plausible then."""
        rows: list[tuple[float, float]] = self.connect().execute("SELECT seen, plausible FROM clock").fetchall()
        return rows[0] if rows else None

    def save_clock(self, seen: float, plausible: float) -> None:
        """Save what `clock` returns."""
        self._write_quickly("INSERT OR REPLACE INTO clock VALUES (1, ?, ?)", seen, plausible)

    def save_acknowledged(self) -> None:
        """Save the last acknowledged row, without a sync: after a power cut some rows are published twice."""
        self._write_quickly("UPDATE acknowledged SET sequence = ?", self.acknowledged)

    def _write_quickly(self, statement: str, *values: float) -> None:
        """Commit one statement without a sync: a power cut may undo it."""
        connection = self.connect()
        connection.execute("PRAGMA synchronous = NORMAL")
        try:
            with connection:
                connection.execute(statement, values)
        finally:
            connection.execute("PRAGMA synchronous = FULL")

    def _commit(self, recorded: Sequence[Recorded], published: int) -> None:
        connection = self.connect()
        acknowledged = self.acknowledged
        recorded_at: dict[int, float] = {}
        with connection:
            ((last,),) = connection.execute("SELECT coalesce(max(sequence), 0) FROM events").fetchall()
            for number, each in enumerate(recorded):
                inserted = connection.execute(
                    "INSERT OR IGNORE INTO events (id, phase, at, detection) VALUES (?, ?, ?, ?)",
                    (
                        each.detection.id,
                        each.detection.phase,
                        each.detection.started_at.timestamp(),
                        msgspec.json.encode(each.detection),
                    ),
                )
                if not inserted.rowcount:
                    continue  # it is in the file already: only the report of its commit failed
                sequence = inserted.lastrowid or 0
                if each.at is not None:
                    recorded_at[sequence] = each.at
                if number < published and acknowledged >= last:
                    acknowledged = max(acknowledged, sequence)
        self.acknowledged = acknowledged
        self._recorded_at |= recorded_at
        while len(self._recorded_at) > RECENT:
            del self._recorded_at[next(iter(self._recorded_at))]

    def _interrupted(self) -> list[Detection]:
        """Return ends for sounds without one, at the last time in the file, or at their start if that is later.

        A sound during which the wall clock jumped ends at its start: the last time is by another clock.
        """
        connection = self.connect()
        started = connection.execute(
            "SELECT detection, sequence <= (SELECT coalesce(max(sequence), 0) FROM jumps) FROM events "
            "WHERE phase = 'started' AND id IN (SELECT id FROM events GROUP BY id HAVING count(*) = 1) "
            "ORDER BY sequence"
        ).fetchall()
        if not started:
            return []
        [newest] = self.newest(1)
        known = newest.ended_at or newest.started_at
        decoded = [(_decoder.decode(blob), jumped) for blob, jumped in started]
        return [_ended(one, one.started_at if jumped else known) for one, jumped in decoded]

    def _replaced(self) -> bool:
        """Return whether the path no longer leads to the open file, so that writes to it would be lost."""
        return _identity(self.path) != self._opened

    def _move_aside(self, error: sqlite3.Error) -> None:
        """Rename the damaged file and its journal, so that they can be rescued."""
        self._forget()
        aside = f"{self.path}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self.path}{suffix}").rename(f"{aside}{suffix}")
        log.error("event log %s is damaged (%s): moved to %s, starting a new one", self.path, error, aside)

    def _forget(self) -> None:
        """Reset what is known about the file: a new one counts from 1."""
        self.acknowledged = 0
        self._pending = ()
        self._recorded_at.clear()

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Create or upgrade the tables. The rows of version 1 count as acknowledged."""
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
        self.acknowledged = max(self.acknowledged, acknowledged)


def _ended(started: Detection, known: datetime) -> Detection:
    ended_at = max(started.started_at, known)
    return msgspec.structs.replace(started, phase=Phase.ENDED, ended_at=ended_at)


def is_damage(error: Exception) -> bool:
    """Return whether the file itself is damaged, rather than the disk full or access denied."""
    return isinstance(error, sqlite3.Error) and _code(error) in DAMAGED


def is_busy(error: Exception) -> bool:
    """Return whether another program locks the file."""
    return isinstance(error, sqlite3.Error) and _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of a file; None if it is missing. May raise `OSError` for a folder that cannot be read."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def _code(error: sqlite3.Error) -> int:
    return error.sqlite_errorcode & 0xFF
