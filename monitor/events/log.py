"""The event log: all detections, committed to SQLite before they are published, and which of them the broker has.

One thread owns the file. If the disk is full or the file cannot be opened, a bounded number of detections waits in
memory until a later write succeeds. The log reports this once, and counts lost detections.
"""

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec

from monitor.errors import StorageError
from monitor.events.file import EventFile, is_damage
from monitor.events.retention import Retention
from monitor.messages import Detection, Recorded

log = logging.getLogger(__name__)

UNWRITTEN = 1000
"""Most detections that wait in memory while the file cannot be written."""
TIDY_EVERY = 60.0
"""Seconds between two checks for events that are too old or too many."""

_T = TypeVar("_T")


class EventLog:
    """The detections of this monitor, oldest first."""

    def __init__(self, path: Path, keep_days: int, max_mb: int) -> None:
        """`max_mb` in units of 10^6 bytes."""
        self.path = path
        self.lost = 0
        """Number of detections dropped from memory, for newer ones, before they were written."""
        self._retention = Retention(keep_days, max_mb)
        self._tidy_at = 0.0
        self._closed = False
        self._file = EventFile(path)
        self._failing = False
        self._unwritten: deque[Recorded] = deque()
        self._published = 0
        """How many of the unwritten, from the first, the broker has."""
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="event-log")

    async def append(self, detection: Detection) -> bool:
        """Commit one detection. Return False if the write failed and it waits in memory."""
        return await self._on_writer(self._append, detection)

    async def pending(self, most: int) -> list[Recorded]:
        """Return the oldest detections that the broker has not acknowledged, at most `most`."""
        return await self._on_writer(self._pending, most)

    async def acknowledge(self, recorded: Sequence[Recorded]) -> None:
        """Mark the oldest pending detections as acknowledged by the broker."""
        await self._on_writer(self._acknowledge, recorded)

    async def end_interrupted(self) -> int:
        """End, in the log, the sounds that were on when an earlier run was killed. Return their number.

        Their real end is unknown. They end when they were last known to be on: at the time of the log's newest entry,
        or at their own start if that is later.
        """
        try:
            interrupted = await self._on_writer(self._file.retrying, self._file.interrupted)
        except (sqlite3.Error, OSError, msgspec.MsgspecError) as error:
            log.warning("cannot read event log %s: %s", self.path, error)
            return 0
        for detection in interrupted:
            await self.append(detection)
        return len(interrupted)

    async def recent(self, most: int) -> list[Detection]:
        """Return the newest detections, at most `most`, oldest first; none if the log cannot be read."""
        try:
            return await self._on_writer(self._file.retrying, self._file.newest, most)
        except (sqlite3.Error, OSError, msgspec.MsgspecError) as error:
            log.warning("cannot read event log %s: %s", self.path, error)
            return []

    async def test(self) -> None:
        """Open the file for writing. Raises `StorageError`."""
        try:
            await self._on_writer(self._file.connect)
        except (sqlite3.Error, OSError) as error:
            advice = ": the next run moves it aside and starts a new one" if is_damage(error) else ""
            raise StorageError(f"cannot write event log {self.path}: {error}{advice}") from error

    async def close(self) -> None:
        """Finish pending writes and close the file."""
        with contextlib.suppress(sqlite3.Error):
            await self._on_writer(self._finish)
        self._writer.shutdown()

    async def _on_writer(self, function: Callable[..., _T], *args: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, function, *args)

    def _append(self, detection: Detection) -> bool:
        if len(self._unwritten) == UNWRITTEN:
            self._unwritten.popleft()
            self._published = max(0, self._published - 1)
            self.lost += 1
        self._unwritten.append(Recorded(None, detection, time.monotonic()))
        try:
            self._file.retrying(self._file.write, self._unwritten, self._published)
        except (sqlite3.Error, OSError) as error:
            if not self._failing:
                log.error("cannot write event log %s (%s): detections wait in memory", self.path, error)
            self._failing = True
            return False
        self._unwritten.clear()
        self._published = 0
        if self._failing:
            log.warning("event log %s is writable again; %d detections were lost", self.path, self.lost)
        self._failing = False
        if time.monotonic() >= self._tidy_at:
            self._tidy_at = time.monotonic() + TIDY_EVERY
            self._writer.submit(self._tidy)
        return True

    def _tidy(self) -> None:
        """Delete a few old events; the next step queues behind pending writes."""
        if self._closed:
            return
        with contextlib.suppress(sqlite3.Error, OSError):  # append reports it
            if self._file.retrying(self._clean_up):
                self._writer.submit(self._tidy)

    def _clean_up(self) -> bool:
        return self._retention.step(self._file.connect(), time.time(), self._file.acknowledged)

    def _pending(self, most: int) -> list[Recorded]:
        try:
            pending = self._file.retrying(self._file.pending, most)
        except (sqlite3.Error, OSError):
            pending = []  # append reports it
        if len(pending) < most:
            pending += list(self._unwritten)[self._published : self._published + most - len(pending)]
        return pending

    def _acknowledge(self, recorded: Sequence[Recorded]) -> None:
        for each in recorded:
            if each.sequence is not None:
                self._file.acknowledge(each)
            elif self._published < len(self._unwritten) and self._unwritten[self._published] is each:
                self._published += 1
        with contextlib.suppress(sqlite3.Error, OSError):
            self._file.retrying(self._file.save_acknowledged)

    def _finish(self) -> None:
        """Try once more to write the waiting detections."""
        self._closed = True
        try:
            if self._unwritten:
                self._file.write(self._unwritten, self._published)
        except (sqlite3.Error, OSError):
            log.error("event log %s: the last %d detections were lost", self.path, len(self._unwritten))
        finally:
            self._file.disconnect()
