"""Passes detections on once the event log has them, or after a second: no disk delays what happens now."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass

from msgspec.structs import replace

from monitor.events.log import EventLog
from monitor.messages import Detection

PATIENCE = 1.0
"""Longest wait of a detection for its commit, seconds."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    """A detection that has not been passed on."""

    detection: Detection
    written: asyncio.Future[None]
    due: float
    """When it is passed on at the latest, seconds of the event loop's clock."""


class Journal:
    """Records detections and passes them on, those of each source in order. For one event loop."""

    def __init__(
        self, log: EventLog, deliver: Callable[[Detection], None], invented: Collection[str] = frozenset()
    ) -> None:
        """`deliver` must not block. It receives a detection without a commit with `recorded` false.

        The log never gets the detections of the sources `invented`, which are demonstrations.
        """
        self._log, self._deliver, self._invented = log, deliver, invented
        self._waiting: deque[_Entry] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        self._behind = False

    def record(self, detection: Detection) -> None:
        """Take a detection in; never waits."""
        if detection.source in self._invented:
            self._deliver(replace(detection, recorded=False))
            return
        due = asyncio.get_running_loop().time() + PATIENCE
        entry = _Entry(detection, self._log.put(detection), due)
        self._waiting.append(entry)
        self._empty.clear()
        entry.written.add_done_callback(lambda _: self._advance())
        if self._timer is None:
            self._set_timer()

    async def drained(self) -> None:
        """Return once all detections have been passed on, after `PATIENCE` at the latest."""
        await self._empty.wait()

    def _advance(self) -> None:
        """Pass on the detections that are committed or due, each after the ones before it."""
        now = asyncio.get_running_loop().time()
        while self._waiting and (self._waiting[0].written.done() or self._waiting[0].due <= now):
            entry = self._waiting.popleft()
            recorded = entry.written.done() and not entry.written.cancelled()
            self._note(recorded)
            self._deliver(entry.detection if recorded else replace(entry.detection, recorded=False))
        self._set_timer()
        if not self._waiting:
            self._empty.set()

    def _note(self, recorded: bool) -> None:
        """Log the first detection that the event log did not take in time, and the next one that it did."""
        if recorded == self._behind:
            self._behind = not recorded
            if self._behind:
                reason = self._log.problem or "its disk is slow"
                log.warning("detections are published before they are in the event log: %s", reason)
            else:
                log.info("detections are in the event log again before they are published")

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if self._waiting:
            self._timer = asyncio.get_running_loop().call_at(self._waiting[0].due, self._advance)
