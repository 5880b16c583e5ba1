"""Reads the event log beside whoever writes it, in short steps that hold up neither the writer nor its clean-up."""

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
"""Most rows that are read at a time."""
BUSY = 5.0
"""Seconds to wait for a writer that keeps the file to itself."""

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
"""One row of each detection: its start, or where that was not kept its end."""
LATEST = """
    coalesce(
        (SELECT json_set(CAST(other.detection AS TEXT), '$.score',
                         json_extract(CAST(event.detection AS TEXT), '$.score'))
            FROM events AS other WHERE other.id = event.id AND other.phase = 'ended'),
        detection)
"""
"""The end, but with the score of the start: that at the end says nothing about the sound."""
RECORDED = f"SELECT sequence, detection FROM events AS event WHERE {MATCHES}"  # noqa: S608 - put together of our own
JOINED = f"SELECT sequence, {LATEST} FROM events AS event WHERE {LEADS} AND {MATCHES}"  # noqa: S608 - as above


@dataclass(frozen=True, slots=True)
class Query:
    """Which events to read; what is not set does not choose."""

    since: datetime | None = None
    """Sounds that began then or later."""
    until: datetime | None = None
    """Sounds that began earlier."""
    labels: tuple[str, ...] = ()
    """In capitals or not."""
    sources: tuple[str, ...] = ()


class EventReader:
    """The detections in a log, as JSON, in the order in which they were recorded."""

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
        self._notice_a_new_file()
        if newest is not None:
            before = self._rows(f"{select} AND sequence > :last ORDER BY sequence DESC LIMIT 1 OFFSET {newest}")
            self._last = before[0][0] if before else self._last
        while rows := self._rows(f"{select} AND sequence > :last ORDER BY sequence LIMIT {STEP}"):
            for sequence, detection in rows:
                self._last = sequence
                yield detection if isinstance(detection, bytes) else str(detection).encode()

    def _notice_a_new_file(self) -> None:
        """A log that was moved aside and begun anew counts from the beginning."""
        try:
            file = os.stat(self._path).st_ino  # noqa: PTH116
        except OSError:
            return  # opening it tells why
        if file != self._file:
            self._file, self._last = file, 0

    def _rows(self, statement: str) -> list[tuple[int, object]]:
        """All rows of one statement, on a connection of its own: nothing stays open while somebody reads a page."""
        try:
            with closing(self._connect()) as connection:
                return connection.execute(statement, self._values | {"last": self._last}).fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_ERROR:
                raise StorageError(f"{self._path} is not an event log: {error}") from error
            raise StorageError(f"event log {self._path} cannot be read: {error}") from error
        except sqlite3.DatabaseError as error:
            raise StorageError(
                f"event log {self._path} is damaged ({error}): the next run keeps it aside and begins a new one"
            ) from error

    def _connect(self) -> sqlite3.Connection:
        """Without its journal the file is whole and nobody writes it: then it is read without leaving traces."""
        try:
            self._path.open("rb").close()
        except FileNotFoundError:
            raise StorageError(
                f"there is no event log {self._path} yet: the monitor begins it with the first sound that it detects"
            ) from None
        except OSError as error:
            advice = "; try as the user that the monitor runs as" if isinstance(error, PermissionError) else ""
            raise StorageError(f"event log {self._path} cannot be read: {error.strerror}{advice}") from error
        journal = Path(f"{self._path}-wal").exists()
        uri = f"file:{quote(str(self._path.absolute()))}?{'mode=ro' if journal else 'immutable=1'}"
        return sqlite3.connect(uri, uri=True, timeout=BUSY)


def _json_array(names: tuple[str, ...]) -> str | None:
    return msgspec.json.encode(names).decode() if names else None
