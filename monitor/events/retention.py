"""Limits the age and the size of the event log, in small steps that do not delay new events."""

import logging
import sqlite3
import time
from pathlib import Path

log = logging.getLogger(__name__)

STEP = 500
"""Most events that one step deletes for each reason, and most pages that it returns to the disk."""
ROOM = 0.05
"""Share of the size that is freed at once when the log is full."""


HOUR, DAY = 3_600.0, 86_400.0
JOURNAL_BYTES = 1_000_000
"""Size to which the journal (WAL) shrinks after its pages have moved to the file."""
OLD = """
    SELECT sequence FROM events WHERE at < :oldest AND sequence < coalesce(
        (SELECT sequence FROM events WHERE +at BETWEEN :oldest AND :newest ORDER BY sequence LIMIT 1), 9e18)
"""
"""Events that are too old, and so is all that was recorded before them: one that only looks older than its neighbours
was recorded while the clock was wrong."""


def allow_shrinking(connection: sqlite3.Connection) -> None:
    """Let an empty database shrink later. Raises `sqlite3.Error`."""
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")


class Retention:
    """Deletes events that are too old, and the oldest events of a log that is too large."""

    def __init__(self, keep_days: int, max_mb: int) -> None:
        """`max_mb` in units of 10^6 bytes."""
        self._keep = keep_days * DAY
        self._most = max_mb * 1_000_000
        self._full = False
        self._journal = 0
        self._made_room = self._aged = self._unpublished = 0
        self._report_at = 0.0

    def step(self, connection: sqlite3.Connection, now: float | None, acknowledged: int) -> bool:
        """Delete a few events. Return True if there is more to delete at once.

        `now` in seconds since 1970, None while the clock cannot be trusted: then no event is too old. `acknowledged` is
        the last sequence number that the broker has, 0 if it never had any. Events that the broker lacks are deleted as
        well, which is logged. Raises `sqlite3.Error`.
        """
        self._shrink_journal(connection)
        with connection:
            if now is not None:
                self._aged += self._delete(connection, acknowledged, OLD, oldest=now - self._keep, newest=now + DAY)
            if self._too_large(connection):
                found = self._delete(connection, acknowledged, "SELECT sequence FROM events ORDER BY sequence")
                self._made_room += found
                self._full = found > 0
        if _pragma(connection, "freelist_count"):
            connection.executescript(f"PRAGMA incremental_vacuum({STEP})")
        if self._full:
            return True  # old events can wait: a clock that is wrong for a minute must not empty the log
        self._report()
        return False

    @property
    def _limit(self) -> float:
        return self._most * (1.0 - ROOM) if self._full else self._most

    def _shrink_journal(self, connection: sqlite3.Connection) -> None:
        """Empty the journal (WAL) if the file is within its limit only without it; a reader may prevent this."""
        self._journal = _journal_size(connection)
        if _size(connection) <= self._limit < _size(connection) + self._journal:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._journal = min(_journal_size(connection), JOURNAL_BYTES)  # no event is deleted for a slow reader

    def _too_large(self, connection: sqlite3.Connection) -> bool:
        """Return whether events must be deleted: above the limit, then until there is some room."""
        self._full = _size(connection) + min(self._journal, JOURNAL_BYTES) > self._limit
        return self._full

    def _delete(self, connection: sqlite3.Connection, acknowledged: int, which: str, **values: float) -> int:
        deleted = connection.execute(
            f"DELETE FROM events WHERE sequence IN ({which} LIMIT :step) RETURNING sequence",  # noqa: S608 - constants only
            {**values, "step": STEP},
        ).fetchall()
        self._unpublished += sum(sequence > acknowledged > 0 for (sequence,) in deleted)
        return len(deleted)

    def _report(self) -> None:
        """Log what was deleted; for its age once an hour, as a busy log loses some events every minute."""
        if self._aged and time.monotonic() >= self._report_at:
            self._report_at = time.monotonic() + HOUR
            log.info("deleted %d events older than events.keep_days, %g days", self._aged, self._keep / DAY)
            self._aged = 0
        if self._made_room:
            log.info("the event log reached events.max_mb: deleted its oldest %d events", self._made_room)
        if self._unpublished:
            log.warning(
                "deleted %d events that the broker never received: they were older than events.keep_days, or the event "
                "log reached events.max_mb",
                self._unpublished,
            )
        self._made_room = self._unpublished = 0


def _size(connection: sqlite3.Connection) -> int:
    """Bytes of the pages in use."""
    pages = _pragma(connection, "page_count") - _pragma(connection, "freelist_count")
    return pages * _pragma(connection, "page_size")


def _journal_size(connection: sqlite3.Connection) -> int:
    [(_, _, path)] = [row for row in connection.execute("PRAGMA database_list").fetchall() if row[1] == "main"]
    journal = Path(f"{path}-wal")
    return journal.stat().st_size if journal.exists() else 0


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    [value] = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)
