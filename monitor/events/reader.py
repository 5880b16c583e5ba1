"""Reads the event log beside its writer, in short steps that do not block the writer or its clean-up."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import msgspec

from monitor.errors import StorageError

STEP = 500
"""Most rows per query."""
BUSY = 5.0
"""Seconds to wait for a writer that locks the file."""

MATCHES = """
    (:since IS NULL OR event.at >= :since) AND (:until IS NULL OR event.at < :until)
    AND (:labels IS NULL OR lower(json_extract(CAST(event.detection AS TEXT), '$.label')) IN
        (SELECT lower(value) FROM json_each(:labels)))
    AND (:sources IS NULL OR json_extract(CAST(event.detection AS TEXT), '$.source') IN
        (SELECT value FROM json_each(:sources)))
"""
LEADS = """
    (event.phase = 'started'
        OR NOT EXISTS (SELECT 1 FROM events AS other WHERE other.id = event.id AND other.phase = 'started'))
"""
"""One row of each detection: its start, or its end if the start was deleted."""
LATEST = """
    coalesce(
        (SELECT json_set(CAST(other.detection AS TEXT), '$.score',
                         json_extract(CAST(event.detection AS TEXT), '$.score'))
            FROM events AS other WHERE other.id = event.id AND other.phase = 'ended'),
        detection)
"""
"""The end with the score of the start, as the score at the end says nothing about the sound."""
RECORDED = f"SELECT sequence, detection FROM events AS event WHERE {MATCHES}"  # noqa: S608 - constants only
JOINED = f"SELECT sequence, {LATEST} FROM events AS event WHERE {LEADS} AND {MATCHES}"  # noqa: S608 - constants only


@dataclass(frozen=True, slots=True)
class Query:
    """Which events to read; an unset field selects all."""

    since: datetime | None = None
    """Sounds that started then or later."""
    until: datetime | None = None
    """Sounds that started earlier."""
    labels: tuple[str, ...] = ()
    """Case-insensitive."""
    sources: tuple[str, ...] = ()


class EventReader:
    """The detections in a log, as JSON, in the order of recording."""

    def __init__(self, path: Path, query: Query) -> None:
        self._path = path
        self._values: dict[str, object] = {
            "since": query.since.timestamp() if query.since else None,
            "until": query.until.timestamp() if query.until else None,
            "labels": _json_array(query.labels),
            "sources": _json_array(query.sources),
        }
        self._last = 0
        self._file = 0

    def recorded(self, newest: int | None = None) -> Iterator[bytes]:
        """Each start and each end; at first only so many of the newest, then what came since the last call.

        Raises `StorageError`.
        """
        return self._read(RECORDED, newest)

    def joined(self, newest: int | None = None) -> Iterator[bytes]:
        """Each detection once: as it ended, with the score that began it; as it started where it has no end yet.

        Raises `StorageError`.
        """
        return self._read(JOINED, newest)

    def _read(self, select: str, newest: int | None) -> Iterator[bytes]:
        self._detect_new_file()
        if newest is not None:
            before = self._rows(f"{select} AND sequence > :last ORDER BY sequence DESC LIMIT 1 OFFSET {newest}")
            self._last = before[0][0] if before else self._last
        while rows := self._rows(f"{select} AND sequence > :last ORDER BY sequence LIMIT {STEP}"):
            for sequence, detection in rows:
                self._last = sequence
                yield detection if isinstance(detection, bytes) else str(detection).encode()

    def _detect_new_file(self) -> None:
        """Start from the first row if the log was replaced by a new file."""
        try:
            file = os.stat(self._path).st_ino  # noqa: PTH116
        except OSError:
            return  # opening it reports why
        if file != self._file:
            self._file, self._last = file, 0

    def _rows(self, statement: str) -> list[tuple[int, object]]:
        """Return all rows of one statement, on a new connection: nothing stays open while the user reads a page."""
        try:
            with closing(self._connect()) as connection:
                return connection.execute(statement, self._values | {"last": self._last}).fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_ERROR:
                raise StorageError(f"{self._path} is not an event log: {error}") from error
            raise StorageError(f"cannot read event log {self._path}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise StorageError(
                f"event log {self._path} is damaged ({error}): the next run moves it aside and starts a new one"
            ) from error

    def _connect(self) -> sqlite3.Connection:
        """Open the file read-only. Without a journal it has no writer, so the connection leaves no files behind."""
        try:
            self._path.open("rb").close()
        except FileNotFoundError:
            raise StorageError(
                f"no event log {self._path} yet: the monitor creates it with the first detection"
            ) from None
        except OSError as error:
            advice = "; try as the user of the monitor" if isinstance(error, PermissionError) else ""
            raise StorageError(f"cannot read event log {self._path}: {error.strerror}{advice}") from error
        journal = Path(f"{self._path}-wal").exists()
        uri = f"file:{quote(str(self._path.absolute()))}?{'mode=ro' if journal else 'immutable=1'}"
        return sqlite3.connect(uri, uri=True, timeout=BUSY)


def _json_array(names: tuple[str, ...]) -> str | None:
    return msgspec.json.encode(names).decode() if names else None
