"""Detections on their way to the file: bounded, and shared by the event loop and the writer thread."""

import asyncio
import threading
from collections import deque
from dataclasses import dataclass
from itertools import islice

from monitor.messages import Recorded

UNWRITTEN = 10_000
"""Most detections that wait in memory while the file cannot be written."""


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """A detection that is not in the file yet."""

    recorded: Recorded
    written: asyncio.Future[None]
    """Done once it is committed, cancelled when it is dropped."""


class Unwritten:
    """A queue, oldest first. Its lock is never held during an access to the disk."""

    def __init__(self) -> None:
        self.lost = 0
        """Number of detections that were dropped for newer ones."""
        self._lock = threading.Lock()
        self._queue: deque[Waiting] = deque()
        self._writing = 0
        """How many, from the first, are being written now; these are not dropped."""
        self._published = 0
        """How many, from the first, the broker has."""

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def oldest(self) -> Recorded | None:
        """The detection that has waited longest."""
        with self._lock:
            return self._queue[0].recorded if self._queue else None

    def add(self, waiting: Waiting) -> None:
        """Append one; drop the oldest for it if the queue is full. On the event loop only."""
        with self._lock:
            if len(self._queue) == UNWRITTEN:
                self._queue[self._writing].written.cancel()
                del self._queue[self._writing]
                self._published -= self._published > self._writing
                self.lost += 1
            self._queue.append(waiting)

    def begin(self, most: int) -> tuple[list[Waiting], int]:
        """Return the oldest, to be written now, and how many of the queue the broker has."""
        with self._lock:
            group = list(islice(self._queue, most))
            self._writing = len(group)
            return group, self._published

    def end(self, written: bool) -> None:
        """Remove what `begin` returned if it is written; otherwise it stays."""
        with self._lock:
            if written:
                for _ in range(self._writing):
                    self._queue.popleft()
                self._published = max(0, self._published - self._writing)
            self._writing = 0

    def unpublished(self, most: int) -> list[Recorded]:
        """Return the oldest that the broker does not have."""
        with self._lock:
            return [each.recorded for each in islice(self._queue, self._published, self._published + most)]

    def publish(self, recorded: Recorded) -> None:
        """Note that the broker has this one, if it is the next."""
        with self._lock:
            if self._published < len(self._queue) and self._queue[self._published].recorded is recorded:
                self._published += 1
