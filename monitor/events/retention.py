"""Limits the age and the size of the event log, in small steps that do not delay new events."""

import logging
import sqlite3

log = logging.getLogger(__name__)

STEP = 500
"""Most events that one step deletes for each reason, and most pages that it returns to the disk."""
ROOM = 0.05
"""Share of the size that is freed at once when the log is full."""


def allow_shrinking(connection: sqlite3.Connection) -> None:
    """Let an empty database shrink later. Raises `sqlite3.Error`."""
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")


class Retention:
    """Deletes events that are too old, and the oldest events of a log that is too large."""

    def __init__(self, keep_days: int, max_mb: int) -> None:
        """`max_mb` in units of 10^6 bytes."""
        self._keep = keep_days * 86_400.0
        self._most = max_mb * 1_000_000
        self._full = False
        self._made_room = 0
        self._unpublished = 0

    def step(self, connection: sqlite3.Connection, now: float, acknowledged: int) -> bool:
        """Delete a few events. Return True if there is more to delete at once.

        `now` in seconds since 1970. `acknowledged` is the last sequence number that the broker has, 0 if it never had
        any. Events that the broker lacks are deleted as well, which is logged. Raises `sqlite3.Error`.
        """
        with connection:
            self._delete(connection, acknowledged, "SELECT sequence FROM events WHERE at < :oldest", now - self._keep)
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

    def _too_large(self, connection: sqlite3.Connection) -> bool:
        """Return whether events must be deleted: above the limit, then until there is some room."""
        pages = _pragma(connection, "page_count") - _pragma(connection, "freelist_count")
        size = pages * _pragma(connection, "page_size")
        self._full = size > (self._most * (1.0 - ROOM) if self._full else self._most)
        return self._full

    def _delete(self, connection: sqlite3.Connection, acknowledged: int, which: str, oldest: float = 0.0) -> int:
        deleted = connection.execute(
            f"DELETE FROM events WHERE sequence IN ({which} LIMIT :step) RETURNING sequence",  # noqa: S608 - constants only
            {"oldest": oldest, "step": STEP},
        ).fetchall()
        self._unpublished += sum(sequence > acknowledged > 0 for (sequence,) in deleted)
        return len(deleted)

    def _report(self) -> None:
        if self._made_room:
            log.info("the event log reached events.max_mb: deleted its oldest %d events", self._made_room)
        if self._unpublished:
            log.warning(
                "deleted %d events that the broker never received: they were older than events.keep_days, or the event "
                "log reached events.max_mb",
                self._unpublished,
            )
        self._made_room = self._unpublished = 0


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    [value] = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)
