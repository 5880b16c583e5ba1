"""Keeps one source open for as long as the program runs, and hands out its windows.

A capture's own thread only writes the ring; everything else happens on the event loop. From its opening to its end or
loss a capture is one epoch (a `Stretch`), and the next one starts afresh: audio is never spliced across a gap.
"""

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, replace

from monitor.audio.capture import Capture, Opener
from monitor.audio.epoch import Stretch
from monitor.audio.opening import open_capture
from monitor.audio.windows import Grid
from monitor.config.schema import AudioConfig
from monitor.errors import DriverHangsError, SourceError
from monitor.messages import EpochEnd, SourceHealth, SourceState, Window

log = logging.getLogger(__name__)

TICK = 0.25
"""Seconds between two looks at whether the device still delivers."""
POLL_MIN = 0.01
"""Shortest sleep before looking for the next window, seconds: a late block must not turn into a busy loop."""
HANGS = 5
"""Attempts in a row that a driver may leave unanswered. PortAudio can get stuck for good, and only a new process helps:
whoever supervises this one must learn of it."""
RETRY_MIN = 0.5
"""Seconds before the first attempt to open a lost source; each further one waits twice as long."""
PAUSE = "it is paused"
"""Why an epoch is over, when that was wanted."""


@dataclass(slots=True)
class _Past:
    """Counters of the epochs that are over."""

    captured: float = 0.0
    overflows: int = 0
    done: int = 0
    dropped: int = 0
    reopened: int = 0

    def add(self, stretch: Stretch) -> None:
        self.captured += stretch.captured
        self.overflows += stretch.capture.ring.overflows + stretch.overrun
        self.done += stretch.windower.emitted
        self.dropped += stretch.windower.dropped


class Listener:
    """One source: opens it, watches it, opens it again after a loss, and cuts its audio into windows."""

    def __init__(
        self, name: str, opener: Opener, grid: Grid, config: AudioConfig, *, lasting: bool, room: bool
    ) -> None:
        """A `lasting` source (microphone, live stream) is opened again after a loss and never ends by itself; a
        `room` is never digitally silent, so that silence there means a deaf microphone."""
        self.name = name
        self._opener, self._grid, self._config = opener, grid, config
        self.lasting, self._room = lasting, room
        self._epoch = 0
        self._stretch: Stretch | None = None
        self._handed_out = asyncio.Event()
        self._stopping = asyncio.Event()
        self._paused = False
        self._nudge = asyncio.Event()
        self._state, self._reason, self._device = SourceState.OPENING, "", name
        self._past = _Past()
        self.lag = 0.0
        """Seconds between a window's last sample and its scores, newest window; told by the pipeline."""
        self.failure: SourceError | None = None
        """Why the source ended, when that was not its regular end."""
        self.done = False
        """The source has ended for good and all of its windows have been handed out."""

    def stop(self) -> None:
        """End the source; what it has delivered is still handed out."""
        self._stopping.set()
        self._nudge.set()

    def pause(self, paused: bool) -> None:
        """Stop listening, or go on. A microphone or live stream is closed meanwhile; a file or pipe, which could not be
        taken up again, goes by unheard."""
        self._paused = paused
        self._nudge.set()

    async def run(self) -> None:
        """Listen until the source ends or `stop`. A source that cannot be opened or breaks off, and is not lasting,
        ends with its `failure` set, and so does one whose driver hangs for good."""
        wait, hangs = RETRY_MIN, 0
        try:
            while not self._stopping.is_set():
                if self._paused:
                    self._state, self._reason = SourceState.PAUSED, ""
                    await self._rest()
                    continue
                if self._state is SourceState.PAUSED:
                    self._state = SourceState.OPENING
                epoch = self._epoch
                try:
                    loss = await self._listen()
                    hangs = 0
                except SourceError as error:
                    loss = str(error)
                    hangs = hangs + 1 if isinstance(error, DriverHangsError) else 0
                if loss is None:
                    break
                if loss == PAUSE:
                    continue
                if not self.lasting or hangs == HANGS:
                    self.failure, self._reason = SourceError(loss), loss
                    break
                self._lost(loss)
                wait = RETRY_MIN if self._epoch > epoch else min(2 * wait, self._config.retry_max)
                await self._rest(wait)
        finally:
            self._state = SourceState.ENDED
            self.done = True

    def poll(self, most: int) -> list[Window | EpochEnd]:
        """At most `most` windows that are due; behind the last one of an epoch its end."""
        stretch = self._stretch
        if stretch is None:
            return []
        if not stretch.closed and (stretch.capture.live or not stretch.windower.pending):
            stretch.drain()  # a pipe's writer waits instead until its windows have been taken
        items: list[Window | EpochEnd] = []
        while len(items) < most and (window := stretch.windower.take()) is not None:
            items.append(window)
        if stretch.closed and not stretch.windower.pending:
            self._past.add(stretch)
            self._stretch = None
            self._handed_out.set()
            end, rate = stretch.windower.length, self._grid.rate
            items.append(EpochEnd(self.name, stretch.epoch, end, rate, stretch.clock.utc(end / rate)))
        return items

    @property
    def due_in(self) -> float:
        """Seconds until the next window can be complete: how long a reader may sleep."""
        stretch = self._stretch
        if stretch is None:
            return TICK
        return min(TICK, max(POLL_MIN, stretch.windower.missing / self._grid.rate))

    def health(self) -> SourceHealth:
        """How the source does."""
        total = replace(self._past)
        if self._stretch is not None:
            total.add(self._stretch)
        return SourceHealth(
            source=self.name,
            device=_sendable(self._device),
            state=self._state,
            captured=round(total.captured, 3),
            overflows=total.overflows,
            windows_done=total.done,
            windows_dropped=total.dropped,
            lag=round(self.lag, 4),
            reopened=total.reopened,
            reason=_sendable(self._reason),
        )

    async def _listen(self) -> str | None:
        """Open the source once and stay until it is over and handed out; returns as `_watch`."""
        self._nudge.clear()
        capture = await open_capture(self._opener, self._nudge if self.lasting else self._stopping)
        if capture is None:
            return None if self._stopping.is_set() else PAUSE
        self._past.reopened += self._state is SourceState.LOST and self._epoch > 0
        self._device = capture.device
        log.info("%s: listening to %s at %d Hz", self.name, capture.device, capture.rate)
        loss = await self._hear(capture, 0)
        while loss == PAUSE and not self.lasting:
            loss = await self._hear(capture, await self._pass_over(capture))
        return loss

    async def _hear(self, capture: Capture, begin: int) -> str | None:
        """One epoch, from this frame of the capture on, until it is over and handed out; returns as `_watch`."""
        stretch = Stretch(self.name, self._epoch, capture, begin, self._grid)
        self._epoch += 1
        self._handed_out.clear()
        self._stretch = stretch
        self._state, self._reason = SourceState.LISTENING, ""
        loss: str | None = None
        try:
            loss = await self._watch(stretch)
        finally:
            if loss != PAUSE or self.lasting:
                await asyncio.to_thread(capture.close)
            stretch.close()
        if loss == PAUSE:
            self._state = SourceState.PAUSED
        elif loss is not None and self.lasting:
            self._lost(loss)
        await self._handed_out.wait()
        return loss

    async def _pass_over(self, capture: Capture) -> int:
        """Let go by what comes while the source is paused; returns the first frame after it."""
        while self._paused and not self._stopping.is_set() and not capture.finished:
            capture.consumed(capture.ring.written)
            await self._rest(TICK)
        return capture.ring.written

    async def _watch(self, stretch: Stretch) -> str | None:
        """Wait for the end of the epoch; returns why it was lost, `PAUSE` if it was paused, None at a regular end."""
        capture = stretch.capture
        written, since = 0, time.monotonic()
        while not self._stopping.is_set():
            if capture.failure is not None:
                return str(capture.failure)
            if capture.finished:
                return None
            if self._paused:
                return PAUSE
            if stretch.overrun:
                return "this machine was too busy to listen, and some audio was lost"
            if capture.ring.written != written or not capture.live:
                written, since = capture.ring.written, time.monotonic()
            elif time.monotonic() - since > self._config.stall_timeout:
                return f"{capture.device} has delivered nothing for {self._config.stall_timeout:g} s"
            self._judge_hearing(stretch.stuck.seconds)
            await self._rest(TICK)
        return None

    def _judge_hearing(self, stuck: float) -> None:
        deaf = self._room and stuck >= self._config.deaf_after
        if deaf and self._state is SourceState.LISTENING:
            self._state = SourceState.DEAF
            self._reason = f"nothing but digital silence for {self._config.deaf_after:g} s: muted or unplugged?"
            log.warning("%s is deaf: %s", self.name, self._reason)
        elif not deaf and self._state is SourceState.DEAF:
            self._state, self._reason = SourceState.LISTENING, ""
            log.info("%s hears again", self.name)

    def _lost(self, reason: str) -> None:
        if self._reason != reason:
            log.warning("%s is lost: %s; trying again until it is back", self.name, reason)
        self._state, self._reason = SourceState.LOST, reason

    async def _rest(self, seconds: float | None = None) -> None:
        """Sleep, but not beyond `stop` or `pause`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._nudge.wait()
        self._nudge.clear()


def _sendable(text: str) -> str:
    """As UTF-8 can say it: the name of a file or device need not be."""
    return text.encode(errors="replace").decode()
