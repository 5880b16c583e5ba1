"""The event log: all detections in SQLite, and which of them the broker has.

One thread owns the file, so that no caller ever waits for the disk. Detections queue in memory; each commit takes all
that wait. If the disk is full, slow or gone, or another program locks the file, a bounded number of them waits until a
later commit succeeds. The log reports this once, and counts lost detections.
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
from monitor.events.clock import WallClock
from monitor.events.file import JUMPS, EventFile, is_busy, is_damage
from monitor.events.queue import Unwritten, Waiting
from monitor.events.retention import Retention
from monitor.messages import Detection, Recorded

log = logging.getLogger(__name__)

KEPT = "events keep their times, and old ones are not deleted until it has been steady for a day"
"""What a jump of the wall clock means, for the log."""
GROUP = 500
"""Most detections in one commit."""
RETRY = 0.5
"""Seconds after a failed write until the next one."""
SLOW = 1.0
"""Seconds after which a detection that still waits for its commit is a problem."""
READ = 2.0
"""Longest wait for the newest detections, seconds."""
LAST_TRY = 3.0
"""Seconds at the end for another program to unlock the file."""
TIDY_EVERY = 60.0
"""Seconds between two checks for events that are too old or too many."""
SAVE_CLOCK_EVERY = 600.0
"""Seconds between two notes in the file that the wall clock is plausible."""

_T = TypeVar("_T")


class EventLog:
    """The detections of this monitor, oldest first. For one event loop."""

    def __init__(self, path: Path, keep_days: int, max_mb: int, clock: WallClock | None = None) -> None:
        """`max_mb` in units of 10^6 bytes."""
        self.path = path
        self._retention = Retention(keep_days, max_mb)
        self._tidy_at = self._save_clock_at = 0.0
        self._clock = clock or WallClock()
        self._clock_resumed = False
        self._jumps: deque[tuple[float, float]] = deque(maxlen=JUMPS)
        """Jumps of the clock that are not in the file yet: the time after each, and its seconds."""
        self._closed = False
        self._file = EventFile(path)
        self._failure = ""
        self._interrupted = False
        """An earlier run may have left sounds on that could not be ended yet."""
        self._unwritten = Unwritten()
        self._scheduled = False
        self._retry: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="event-log")

    @property
    def waiting(self) -> int:
        """Number of detections in memory that are not in the file yet."""
        return len(self._unwritten)

    @property
    def lost(self) -> int:
        """Number of detections dropped from memory, for newer ones, before they were written."""
        return self._unwritten.lost

    @property
    def problem(self) -> str:
        """Why detections wait in memory, for a person; empty while the file can be written."""
        if self._failure:
            return self._failure
        oldest = self._unwritten.oldest
        if oldest is not None and oldest.at is not None and (waited := time.monotonic() - oldest.at) > SLOW:
            return f"the disk has not answered for {waited:.0f} s"
        return ""

    def put(self, detection: Detection) -> asyncio.Future[None]:
        """Queue a detection for the next commit; never waits. The future is done once it is committed."""
        waiting = self._queue(detection)
        if self._retry is None:
            self._schedule()
        return waiting.written

    def watch_clock(self) -> None:
        """Note in the log whether the wall clock has jumped; call this every few seconds. Never waits."""
        if jump := self._clock.look():
            log.warning("the wall clock was set by %+.1f s: %s", jump, KEPT)
            self._jumps.append((self._clock.now, jump))
        if self._jumps or time.monotonic() >= self._tidy_at:
            self._loop = asyncio.get_running_loop()
            if self._retry is None:
                self._schedule()

    async def append(self, detection: Detection) -> bool:
        """Commit one detection. Return False if the write failed and it waits in memory."""
        waiting = self._queue(detection)
        await self._on_writer(self._flush)
        return waiting.written.done() and not waiting.written.cancelled()

    async def pending(self, most: int) -> list[Recorded]:
        """Return the oldest detections that the broker has not acknowledged, at most `most`."""
        return await self._on_writer(self._pending, most)

    async def acknowledge(self, recorded: Sequence[Recorded]) -> None:
        """Mark the oldest pending detections as acknowledged by the broker."""
        await self._on_writer(self._acknowledge, recorded)

    def end_interrupted(self) -> asyncio.Future[int]:
        """End, in the log, the sounds that were on when an earlier run was killed. The future is their number.

        Call it before the first detection of this run. Their real end is unknown. They end when they were last known to
        be on: at the time of the log's newest entry, or at their own start if that is later.
        """
        return self._on_writer(self._try_end_interrupted)

    async def recent(self, most: int) -> list[Detection]:
        """Return the newest detections, at most `most`, oldest first; none if the log cannot be read in time."""
        try:
            async with asyncio.timeout(READ):
                return await self._on_writer(self._file.retrying, self._file.newest, most)
        except TimeoutError:
            log.warning("cannot read event log %s: the disk has not answered for %g s", self.path, READ)
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
        if self._retry is not None:
            self._retry.cancel()
        with contextlib.suppress(sqlite3.Error):
            await self._on_writer(self._finish)
        self._writer.shutdown()

    def _on_writer(self, function: Callable[..., _T], *args: object) -> asyncio.Future[_T]:
        return asyncio.get_running_loop().run_in_executor(self._writer, function, *args)

    def _queue(self, detection: Detection) -> Waiting:
        self._loop = asyncio.get_running_loop()
        waiting = Waiting(Recorded(None, detection, time.monotonic()), self._loop.create_future())
        self._unwritten.add(waiting)
        return waiting

    def _schedule(self) -> None:
        self._retry = None
        if not self._scheduled and not self._closed:
            self._scheduled = True
            self._writer.submit(self._flush)

    def _flush(self) -> None:
        """Write all waiting detections; after a failure, try again later."""
        self._scheduled = False
        try:
            while self._write_group():
                pass
        except (sqlite3.Error, OSError) as error:
            if not self._failure:
                log.error("cannot write event log %s (%s): detections wait in memory", self.path, error)
            self._failure = str(error)
            self._call_loop(self._retry_later)
            return
        finally:
            self._unwritten.end(written=False)
        if self._failure:
            log.warning("event log %s is writable again; %d detections were lost", self.path, self.lost)
        self._failure = ""
        if time.monotonic() >= self._tidy_at:
            self._tidy_at = time.monotonic() + TIDY_EVERY
            self._writer.submit(self._tidy)

    def _write_group(self) -> bool:
        """Commit the oldest waiting detections; return whether there were any. May raise as `EventFile` does."""
        if self._interrupted:
            self._end_interrupted()  # before the first detection of this run
        while self._jumps:
            self._file.retrying(self._file.add_jump, *self._jumps[0])
            self._jumps.popleft()
        group, published = self._unwritten.begin(GROUP)
        if not group:
            return False
        self._file.retrying(self._file.write, [each.recorded for each in group], published)
        self._unwritten.end(written=True)
        self._call_loop(_written, group)
        return True

    def _retry_later(self) -> None:
        if self._retry is None and not self._closed:
            self._retry = asyncio.get_running_loop().call_later(RETRY, self._schedule)

    def _call_loop(self, function: Callable[..., None], *args: object) -> None:
        """Have the event loop call the function; a loop that has ended needs no call."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(function, *args)

    def _tidy(self) -> None:
        """Delete a few old events; the next step queues behind pending writes."""
        if self._closed:
            return
        with contextlib.suppress(sqlite3.Error, OSError):  # append reports it
            if self._file.retrying(self._clean_up):
                self._writer.submit(self._tidy)

    def _clean_up(self) -> bool:
        connection = self._file.connect()
        before = None if self._clock_resumed else self._file.clock()
        self._clock_resumed = True
        if before is not None and (jump := self._clock.resume(*before)):
            log.warning("the wall clock is %.1f s behind the last run: %s", -jump, KEPT)
            self._file.add_jump(self._clock.now, jump)
        if time.monotonic() >= self._save_clock_at:
            self._save_clock_at = time.monotonic() + SAVE_CLOCK_EVERY
            self._file.save_clock(self._clock.now, self._clock.plausible)
        now = self._clock.now if self._clock.trusted else None
        return self._retention.step(connection, now, self._file.acknowledged)

    def _try_end_interrupted(self) -> int:
        try:
            return self._end_interrupted()
        except (sqlite3.Error, OSError) as error:
            log.warning("cannot read event log %s: %s", self.path, error)
            return 0

    def _end_interrupted(self) -> int:
        """End what an earlier run left on; may raise `sqlite3.Error` or `OSError`, and is then due again."""
        self._interrupted = True
        ended = 0
        try:
            ended = self._file.retrying(self._file.end_interrupted)
        except msgspec.MsgspecError as error:
            log.warning("cannot read event log %s: %s", self.path, error)
        self._interrupted = False
        if ended:
            log.warning("the last run was killed: %d sounds that were on then now end in the event log", ended)
        return ended

    def _pending(self, most: int) -> list[Recorded]:
        try:
            pending = self._file.retrying(self._file.pending, most)
        except (sqlite3.Error, OSError):
            pending = []  # a write reports it
        if len(pending) < most:
            pending += self._unwritten.unpublished(most - len(pending))
        return pending

    def _acknowledge(self, recorded: Sequence[Recorded]) -> None:
        for each in recorded:
            if each.sequence is not None:
                self._file.acknowledge(each)
            else:
                self._unwritten.publish(each)
        with contextlib.suppress(sqlite3.Error, OSError):
            self._file.retrying(self._file.save_acknowledged)

    def _finish(self) -> None:
        """Try once more to write the waiting detections, for a while if another program locks the file."""
        self._closed = True
        deadline = time.monotonic() + LAST_TRY
        try:
            while self._unwritten:
                try:
                    self._write_group()
                except sqlite3.Error as error:
                    if not is_busy(error) or time.monotonic() > deadline:
                        raise
        except (sqlite3.Error, OSError):
            log.error("event log %s: the last %d detections were lost", self.path, len(self._unwritten))
        else:
            if self._clock_resumed:
                with contextlib.suppress(sqlite3.Error, OSError):
                    self._file.save_clock(self._clock.now, self._clock.plausible)
        finally:
            self._file.disconnect()


def _written(group: Sequence[Waiting]) -> None:
    for each in group:
        if not each.written.done():
            each.written.set_result(None)
