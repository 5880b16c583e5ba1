"""The event log's SQLite file: opened when it is needed, moved aside when it is damaged, begun anew when it is gone.

For one thread. Order is that of recording, never that of the clock, which may be set back.
"""

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from monitor.events.retention import allow_shrinking
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
RECENT = 5000
"""Rows whose time of recording is remembered: as many as may be written in the seconds in which that matters."""
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

T = TypeVar("T")

_decoder = msgspec.json.Decoder(Detection)


class EventFile:
    """Rows of detections, and the mark up to where the broker has them. All may raise `sqlite3.Error` or `OSError`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.acknowledged = 0
        """The last sequence that the broker has; in the file once saved."""
        self._pending: tuple[int, ...] = ()
        """The sequences that were handed out last; none where the file was begun anew since."""
        self._recorded_at: dict[int, float] = {}
        """When the newest rows were recorded, by their sequence."""
        self._connection: sqlite3.Connection | None = None

    def connect(self) -> sqlite3.Connection:
        """Open it, and make the tables where it is new."""
        if self._connection is not None and not self.path.exists():
            self.disconnect()  # deleted under us: what is written there would be gone
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

    def disconnect(self) -> None:
        """Close it."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    def mending(self, function: Callable[..., T], *args: object) -> T:
        """Call it; after an error start afresh, and once more at once if the file was damaged."""
        try:
            return function(*args)
        except sqlite3.Error as error:
            if _code(error) == sqlite3.SQLITE_FULL:
                raise  # what is open can still be read, and could not be opened again
            with contextlib.suppress(sqlite3.Error):
                self.disconnect()
            if not is_damage(error):
                raise
            self._move_aside(error)
        return function(*args)

    def write(self, recorded: Sequence[Recorded], told: int) -> None:
        """Commit them all; the first `told` count as acknowledged if nothing before them is pending."""
        connection = self.connect()
        acknowledged = self.acknowledged
        recorded_at: dict[int, float] = {}
        with connection:
            ((last,),) = connection.execute("SELECT coalesce(max(sequence), 0) FROM events").fetchall()
            for number, each in enumerate(recorded):
                sequence = connection.execute(
                    "INSERT OR IGNORE INTO events (id, phase, at, detection) VALUES (?, ?, ?, ?)",
                    (
                        each.detection.id,
                        each.detection.phase,
                        each.detection.started_at.timestamp(),
                        msgspec.json.encode(each.detection),
                    ),
                ).lastrowid
                recorded_at[sequence or 0] = each.at or 0.0
                if number < told and acknowledged >= last:
                    acknowledged = max(acknowledged, sequence or 0)
        self.acknowledged = acknowledged
        self._recorded_at |= recorded_at
        while len(self._recorded_at) > RECENT:
            del self._recorded_at[next(iter(self._recorded_at))]

    def pending(self, most: int) -> list[Recorded]:
        """The oldest rows that are not acknowledged, at most so many."""
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
                    log.warning("event log %s: passing over entry %d: %s", self.path, sequence, error)
                    if not pending:
                        self.acknowledged = sequence
        self._pending = tuple(each.sequence for each in pending if each.sequence is not None)
        return pending

    def acknowledge(self, recorded: Recorded) -> None:
        """The broker has this one of those that were handed out last; a row of an earlier file means nothing here."""
        if recorded.sequence in self._pending:
            self.acknowledged = recorded.sequence

    def newest(self, most: int) -> list[Detection]:
        """The newest rows, oldest of them first. Raises `msgspec.MsgspecError` for one that is not ours."""
        rows = self.connect().execute("SELECT detection FROM events ORDER BY sequence DESC LIMIT ?", (most,)).fetchall()
        return [_decoder.decode(blob) for (blob,) in reversed(rows)]

    def interrupted(self) -> list[Detection]:
        """The ends of what has started and not ended, at the last moment that the file knows of, or at the start."""
        connection = self.connect()
        started = connection.execute(
            "SELECT detection FROM events WHERE phase = 'started' AND id IN "
            "(SELECT id FROM events GROUP BY id HAVING count(*) = 1) ORDER BY sequence"
        ).fetchall()
        if not started:
            return []
        [newest] = self.newest(1)
        known = newest.ended_at or newest.started_at
        return [_ended(_decoder.decode(blob), known) for (blob,) in started]

    def save_acknowledged(self) -> None:
        """Not worth a wait for the disk: after a power cut the broker is told some twice."""
        connection = self.connect()
        connection.execute("PRAGMA synchronous = NORMAL")
        try:
            with connection:
                connection.execute("UPDATE acknowledged SET sequence = ?", (self.acknowledged,))
        finally:
            connection.execute("PRAGMA synchronous = FULL")

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
        self.acknowledged = 0
        self._pending = ()
        self._recorded_at.clear()

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
        self.acknowledged = max(self.acknowledged, acknowledged)


def _ended(started: Detection, known: datetime) -> Detection:
    ended_at = max(started.started_at, known)
    return msgspec.structs.replace(started, phase=Phase.ENDED, ended_at=ended_at)


def is_damage(error: Exception) -> bool:
    """The file itself is at fault, not the disk or its rights."""
    return isinstance(error, sqlite3.Error) and _code(error) in DAMAGED


def _code(error: sqlite3.Error) -> int:
    return error.sqlite_errorcode & 0xFF
