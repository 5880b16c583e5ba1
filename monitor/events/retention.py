"""Keeps the event log within its age and its size, a small step at a time, so that no event waits long for its turn."""

import logging
import sqlite3

log = logging.getLogger(__name__)

STEP = 500
"""Most events that one step deletes for one reason, and most pages that it gives back to the disk."""
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
        self._made_room = 0
        self._untold = 0

    def step(self, connection: sqlite3.Connection, now: float, acknowledged: int) -> bool:
        """Do a little; True when more is to be done at once.

        `now` in seconds since 1970. `acknowledged` is the last sequence number that the broker has, 0 where it never
        had any. What it does not have goes as well when it is too old or in the way, which is said. Raises
        `sqlite3.Error`.
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
            return True  # what is too old has time: a clock that is wrong for a minute must not empty the log
        self._tell()
        return False

    def _too_large(self, connection: sqlite3.Connection) -> bool:
        """Whether something must go: beyond the limit, and then until there is some room."""
        pages = _pragma(connection, "page_count") - _pragma(connection, "freelist_count")
        size = pages * _pragma(connection, "page_size")
        self._full = size > (self._most * (1.0 - ROOM) if self._full else self._most)
        return self._full

    def _delete(self, connection: sqlite3.Connection, acknowledged: int, which: str, oldest: float = 0.0) -> int:
        deleted = connection.execute(
            f"DELETE FROM events WHERE sequence IN ({which} LIMIT :step) RETURNING sequence",  # noqa: S608 - our own
            {"oldest": oldest, "step": STEP},
        ).fetchall()
        self._untold += sum(sequence > acknowledged > 0 for (sequence,) in deleted)
        return len(deleted)

    def _tell(self) -> None:
        if self._made_room:
            log.info("the event log reached events.max_mb: its oldest %d events are deleted", self._made_room)
        if self._untold:
            log.warning(
                "the event log has deleted events that the broker never got, %d of them: they were older than "
                "events.keep_days, or in the way of newer ones (events.max_mb)",
                self._untold,
            )
        self._made_room = self._untold = 0


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    [value] = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)
