"""Keeps the event log within its age and its size, a small step at a time, so that no event waits long for its turn."""

import logging
import sqlite3

log = logging.getLogger(__name__)

STEP = 500
"""Most events that one step deletes, and most pages that it gives back to the disk."""
ROOM = 0.05
"""Share of the size that is made free at once when the log is full."""


def allow_shrinking(connection: sqlite3.Connection) -> None:
    """Have a file that is still empty made so that it can shrink. Raises `sqlite3.Error`."""
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")


class Retention:
    """Deletes what is too old, and the oldest of what is too much."""

    def __init__(self, keep_days: int, max_mb: int) -> None:
        """`max_mb` in units of 10^6 bytes."""
        self._keep = keep_days * 86_400.0
        self._most = max_mb * 1_000_000
        self._full = False
        self._deleted = 0
        self._untold = 0

    def step(self, connection: sqlite3.Connection, now: float, acknowledged: int) -> bool:
        """Do a little; True when more is to be done.

        `now` in seconds since 1970. `acknowledged` is the last sequence number that the broker has, 0 where it never
        had any. What it does not have goes as well when it is too old or in the way, which is said. Raises
        `sqlite3.Error`.
        """
        with connection:
            expired = connection.execute(
                "DELETE FROM events WHERE sequence IN (SELECT sequence FROM events WHERE at < ? LIMIT ?)",
                (now - self._keep, STEP),
            ).rowcount
            if expired < STEP and self._too_large(connection):
                self._delete_oldest(connection, acknowledged)
        free = _pragma(connection, "freelist_count") if _pragma(connection, "auto_vacuum") else 0
        if free:
            connection.executescript(f"PRAGMA incremental_vacuum({STEP})")
        if self._full or expired == STEP or free > STEP:
            return True
        self._tell()
        return False

    def _too_large(self, connection: sqlite3.Connection) -> bool:
        """Whether something must go: beyond the limit, and then until there is some room."""
        pages = _pragma(connection, "page_count") - _pragma(connection, "freelist_count")
        size = pages * _pragma(connection, "page_size")
        self._full = size > (self._most * (1.0 - ROOM) if self._full else self._most)
        return self._full

    def _delete_oldest(self, connection: sqlite3.Connection, acknowledged: int) -> None:
        deleted = connection.execute(
            "DELETE FROM events WHERE sequence IN (SELECT sequence FROM events ORDER BY sequence LIMIT ?) "
            "RETURNING sequence",
            (STEP,),
        ).fetchall()
        self._full = bool(deleted)
        self._deleted += len(deleted)
        self._untold += sum(sequence > acknowledged > 0 for (sequence,) in deleted)

    def _tell(self) -> None:
        if self._untold:
            log.warning(
                "the event log reached events.max_mb, and its oldest %d events were deleted, of which the broker never "
                "got %d: raise it, or see why the broker is away",
                self._deleted,
                self._untold,
            )
        elif self._deleted:
            log.info("the event log reached events.max_mb, and its oldest %d events were deleted", self._deleted)
        self._deleted = self._untold = 0


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    [value] = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)
