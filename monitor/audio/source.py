"""Keep one source open for as long as the program runs, and hand out its windows.

A capture's own thread only writes the ring; everything else runs on the event loop. The first samples after an opening
begin a new epoch, and each loss or pause ends one: audio is never spliced across a gap. A source is listening only
while samples arrive, whatever its driver says.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from monitor.audio.epoch import Cause, Ended, Epoch, nothing_for
from monitor.audio.hearing import CERTAIN, REASONS, Hearing
from monitor.audio.inputs.capture import Capture, Opener, open_capture
from monitor.audio.signal import Gain
from monitor.audio.windows import Grid
from monitor.config.schema import AudioConfig, Channel, Decibels
from monitor.errors import SourceError
from monitor.messages import EpochEnd, SourceHealth, SourceState, Window

log = logging.getLogger(__name__)

TICK = 0.25
"""Seconds between two checks that the device still delivers."""
ARRIVAL = 0.05
"""Seconds between two checks for the first samples."""
POLL_MIN = 0.02
"""Shortest sleep before looking for the next window, seconds: a late block must not cause a busy loop."""
RETRY_MIN = 0.5
"""Seconds before a source that was open is opened again."""
GROWTH = 4 / 3
"""What each failed attempt multiplies the wait by: a source is back soon after a short absence."""
PATIENCE_MIN, PATIENCE_MAX = 5.0, 60.0
"""Seconds for which an open source may deliver nothing before it is opened again; each time doubles them."""
LATE = 1.0
"""Seconds without an analysed window after which the wait counts as lag."""
STALLED_AFTER = 5.0
"""Seconds for which a complete window may wait for its analysis."""
PROVEN = 5.0
"""Seconds of audio after which a source works, and the next loss is a new one."""


class Backoff:
    """How long to wait before a source is opened again."""

    def __init__(self, longest: float) -> None:
        """`longest` is the longest wait, seconds."""
        self.wait = RETRY_MIN
        """Seconds before the next attempt."""
        self.patience = PATIENCE_MIN
        """Seconds to wait for the first samples of an open source."""
        self._longest = longest

    def failed(self) -> None:
        """Wait longer after an attempt to open it."""
        self.wait = min(GROWTH * self.wait, self._longest)

    def silent(self) -> None:
        """Double the patience after an opening that delivered nothing, and open again soon."""
        self.patience = min(2 * self.patience, PATIENCE_MAX)
        self.wait = RETRY_MIN

    def lost(self, captured: float) -> None:
        """Start again with the shortest wait if the source has delivered enough seconds, otherwise wait longer."""
        if captured >= PROVEN:
            self.wait, self.patience = RETRY_MIN, PATIENCE_MIN
        else:
            self.failed()


@dataclass(slots=True)
class _Totals:
    """Counters over epochs."""

    captured: float = 0.0
    overflows: int = 0
    done: int = 0
    dropped: int = 0
    reopened: int = 0
    lost: float = 0.0

    def add(self, epoch: Epoch) -> None:
        self.captured += epoch.captured
        self.overflows += epoch.overflows
        self.done += epoch.windower.emitted
        self.dropped += epoch.windower.dropped


class Source:
    """One source of audio: opened, watched, opened again after a loss, and cut into windows."""

    def __init__(
        self,
        name: str,
        opener: Opener,
        grid: Grid,
        config: AudioConfig,
        *,
        restarts: bool,
        room: bool,
        channel: Channel = "mix",
        gain: Decibels = 0.0,
        demonstration: bool = False,
    ) -> None:
        """A source that `restarts` (a microphone, a live stream) is opened again after a loss and never ends by
        itself. A `room` is never digitally silent, so digital silence means that its microphone is deaf."""
        self.name, self.restarts, self.demonstration = name, restarts, demonstration
        self._opener, self._grid, self._config, self._room = opener, grid, config, room
        self._channel, self._gain = channel, Gain(grid.rate, gain)
        self._note = ""
        self._resume_at = 0
        self._hearing = Hearing()
        self._suspected: str | None = None
        self._received_until: float | None = None  # monotonic; while audio is missing
        self._epochs = 0
        self._epoch: Epoch | None = None
        self._handed_out = asyncio.Event()
        self._stopping = asyncio.Event()
        self._paused = False
        self._nudge = asyncio.Event()
        self._state, self._reason, self._device = SourceState.OPENING, "", name
        self.on_change: Callable[[], object] = lambda: None
        """Called when the state or its reason has changed; must not block."""
        self._past = _Totals()
        self._lag = 0.0
        self._owed = 0  # windows that were handed out and are not analysed
        self._progress = time.monotonic()
        self.failure: SourceError | None = None
        """Why the source ended, unless it came to its regular end."""
        self.done = False
        """The source has ended and all of its windows have been handed out."""

    def stop(self) -> None:
        """End the source; what it has delivered is still handed out."""
        self._stopping.set()
        self._nudge.set()

    def pause(self, paused: bool) -> None:
        """Pause or resume.

        During a pause a source that restarts is closed. A file or pipe could not be opened again at the same place: it
        stays open, and its audio is discarded.
        """
        self._paused = paused
        self._nudge.set()

    async def run(self) -> None:
        """Listen until the source ends or `stop`.

        A source that does not restart ends with its `failure` set when it cannot be opened or is lost.
        """
        backoff = Backoff(self._config.retry_max)
        try:
            while not self._stopping.is_set():
                if self._paused:
                    self._enter(SourceState.PAUSED)
                    await self._rest()
                    continue
                ended = await self._listen(backoff)
                if ended.cause is Cause.FINISHED:
                    break
                if ended.cause is Cause.PAUSED:
                    continue
                if not self.restarts:
                    self.failure = SourceError(ended.reason)
                    break
                self._lost(ended.reason)
                await self._rest(backoff.wait)
        finally:
            self.done = True
            self._enter(SourceState.ENDED, str(self.failure or ""))

    @property
    def lag(self) -> float:
        """Seconds between the last sample of the newest window and its scores; grows while a window waits for them."""
        waited = time.monotonic() - self._progress
        return max(self._lag, waited) if waited > LATE and self._waiting else self._lag

    def analysed(self, lag: float) -> None:
        """Note that a window was analysed, `lag` seconds after its last sample."""
        if self._epoch is not None and not self._epoch.closed:  # the last window of an epoch has waited for its end
            self._lag = lag
        self._progress = time.monotonic()
        self._owed = max(0, self._owed - 1)

    @property
    def _waiting(self) -> bool:
        """Whether a complete window is not analysed yet."""
        return self._owed > 0 or (self._epoch is not None and self._epoch.ready)

    def poll(self, most: int) -> list[Window | EpochEnd]:
        """Return at most `most` windows that are due, and the end of their epoch after its last one."""
        epoch = self._epoch
        if epoch is None:
            return []
        if not epoch.closed and epoch.worth_reading and (epoch.capture.live or not epoch.windower.pending):
            epoch.drain()  # a pipe's writer waits instead until its windows have been taken
            if epoch.gap:
                self._nudge.set()
        items: list[Window | EpochEnd] = []
        while len(items) < most and (window := epoch.windower.take()) is not None:
            items.append(window)
        self._owed += len(items)
        if epoch.closed and not epoch.windower.pending:
            self._past.add(epoch)
            self._epoch = None
            self._handed_out.set()
            items.append(epoch.end())
        return items

    @property
    def due_in(self) -> float:
        """Seconds until the next window can be complete: how long a reader may sleep."""
        if self._epoch is None:
            return TICK
        return min(TICK, max(POLL_MIN, self._epoch.due_in))

    def health(self) -> SourceHealth:
        """Return the state and the counters of the source."""
        total = replace(self._past)
        if self._received_until is not None:
            total.lost += time.monotonic() - self._received_until
        if self._epoch is not None:
            total.add(self._epoch)
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
            lost=round(total.lost, 3),
            gain=round(self._gain.decibels, 1),
            reason=_sendable(self._reason),
            demonstration=self.demonstration,
        )

    async def _listen(self, backoff: Backoff) -> Ended:
        """Open the source once; return when it is over and handed out."""
        if self._state is SourceState.PAUSED:
            self._enter(SourceState.OPENING)
        self._nudge.clear()
        try:
            capture = await open_capture(self._opener, self._nudge if self.restarts else self._stopping)
        except SourceError as error:
            backoff.failed()
            return Ended(Cause.LOST, str(error))
        if capture is None:
            return Ended(Cause.FINISHED if self._stopping.is_set() else Cause.PAUSED)
        self._device = capture.device
        try:
            ended = await self._use(capture, 0, backoff)
            while ended.cause is Cause.GAP or (ended.cause is Cause.PAUSED and not self.restarts):
                begin = self._resume_at if ended.cause is Cause.GAP else await self._discard(capture)
                ended = await self._use(capture, begin, backoff)
        finally:
            await asyncio.to_thread(capture.close)
        return ended

    async def _use(self, capture: Capture, begin: int, backoff: Backoff) -> Ended:
        """Wait for the first samples from this frame of the capture on, then run an epoch."""
        if (ended := await self._first_samples(capture, begin, backoff)) is None:
            if begin == 0 or self._state is not SourceState.LISTENING:
                log.info("%s: listening to %s at %d Hz", self.name, capture.device, capture.rate)
            self._past.reopened += self._state is SourceState.LOST and self._epochs > 0
            self._enter(SourceState.LISTENING)
            ended = await self._run_epoch(capture, begin, backoff)
        if ended.cause is Cause.PAUSED:
            self._enter(SourceState.PAUSED)
        return ended

    async def _first_samples(self, capture: Capture, begin: int, backoff: Backoff) -> Ended | None:
        """Wait for samples; return why none will come. A live source that delivers none is lost while it waits."""
        opened = time.monotonic()
        while not self._stopping.is_set():
            finished, failure = capture.finished, capture.failure
            if capture.ring.written > begin:
                return None
            if failure is not None:
                backoff.failed()
                return Ended(Cause.LOST, str(failure))
            if finished:
                return Ended(Cause.FINISHED)
            if self._paused:
                return Ended(Cause.PAUSED)
            if self._state is SourceState.PAUSED or (begin and self._state is SourceState.LISTENING):
                self._enter(SourceState.OPENING)
            if capture.live and time.monotonic() - opened > self._config.stall_timeout:
                reason = nothing_for(capture, self._config.stall_timeout)
                if not self.restarts or time.monotonic() - opened > backoff.patience:
                    backoff.silent()
                    return Ended(Cause.LOST, reason)
                self._lost(reason)
            self._follow(capture)
            await self._rest(ARRIVAL)
        return Ended(Cause.FINISHED)

    async def _run_epoch(self, capture: Capture, begin: int, backoff: Backoff) -> Ended:
        """Run one epoch, from this frame of the capture on; return when it is over and handed out."""
        epoch = Epoch(self.name, self._epochs, capture, begin, self._grid, self._channel, self._gain, self._hearing)
        self._hearing.reset()
        self._progress = time.monotonic()
        self._epochs += 1
        self._handed_out.clear()
        self._epoch = epoch
        stays_open = False
        try:
            ended = await self._watch(epoch)
            stays_open = ended.cause is Cause.GAP or (ended.cause is Cause.PAUSED and not self.restarts)
        finally:
            if not stays_open:
                await asyncio.to_thread(capture.close)
            epoch.close()
        self._count_lost(epoch)
        self._resume_at = epoch.read
        self._received_until = epoch.span[1] if ended.cause in (Cause.GAP, Cause.LOST) else None
        if ended.cause is Cause.LOST:
            backoff.lost(epoch.captured)
            if self.restarts:
                self._lost(ended.reason)
        await self._handed_out.wait()
        return ended

    async def _watch(self, epoch: Epoch) -> Ended:
        """Wait for the end of the epoch."""
        capture, before, stood = epoch.capture, time.monotonic(), 0.0
        while not self._stopping.is_set():
            if self._paused and capture.failure is None and not capture.finished:
                return Ended(Cause.PAUSED)
            now = time.monotonic()
            if now - before > LATE:  # the program itself stood still: that is no fault of the device or the model
                stood += now - before
                self._progress += now - before
            before = now
            if (ended := epoch.check(now - stood, self._config.stall_timeout)) is not None:
                return ended
            self._follow(capture)
            self._count_lost(epoch)
            self._assess()
            self._check_channels(epoch.signal.note)
            await self._rest(TICK)
        return Ended(Cause.FINISHED)

    def _count_lost(self, epoch: Epoch) -> None:
        """Count what is missing between the last epoch and this one."""
        if self._received_until is not None and epoch.captured:
            lost = max(0.0, epoch.span[0] - self._received_until)
            self._past.lost += lost
            self._received_until = None
            if epoch.capture.live:
                log.warning("%s: %.1f s of audio were lost", self.name, lost)
            else:
                log.info("%s: nothing had arrived for %.1f s", self.name, lost)

    async def _discard(self, capture: Capture) -> int:
        """Discard what arrives while the source is paused; return the first frame after it."""
        while self._paused and not self._stopping.is_set() and not capture.finished:
            capture.consumed(capture.ring.written)
            await self._rest(TICK)
        return capture.ring.written

    def _assess(self) -> None:
        """Enter the state that the evidence supports."""
        deaf = self._hearing.longest(certain=True, least=self._config.deaf_after) if self._room else None
        state, reason, before = SourceState.LISTENING, "", self._state
        now = time.monotonic()
        if not self._waiting:
            self._progress = now
        if now - self._progress > STALLED_AFTER:
            state = SourceState.STALLED
            reason = f"samples arrive, but none were analysed for {STALLED_AFTER:g} s: the model or this machine hangs"
        elif deaf is not None:
            state, reason = SourceState.DEAF, REASONS[deaf].format(seconds=self._config.deaf_after)
        else:
            self._suspect()
        if state is before:
            return
        if before is not SourceState.LISTENING:
            log.info("%s is no longer %s", self.name, before)
        if reason:
            log.warning("%s is %s: %s", self.name, state, reason)
        self._enter(state, reason)

    def _suspect(self) -> None:
        """Warn of a kind of deafness that is not certain, or has not lasted long enough."""
        after = self._config.deaf_after
        kind = self._hearing.longest(certain=True, least=after / 2) or self._hearing.longest(certain=False, least=after)
        if self._room and kind != self._suspected:
            self._suspected = kind
            if kind is not None:
                seconds = after if kind not in CERTAIN else after / 2
                log.warning("%s may be deaf: %s", self.name, REASONS[kind].format(seconds=seconds))

    def _follow(self, capture: Capture) -> None:
        """Say when the sound server has moved the recording."""
        if capture.device != self._device:
            self._device = capture.device
            log.warning("%s: now records from %s", self.name, capture.device)
            self.on_change()

    def _check_channels(self, note: str) -> None:
        if note != self._note:
            self._note = note
            if note:
                log.warning("%s: %s", self.name, note)
            else:
                log.info("%s: all channels have sound again", self.name)

    def _lost(self, reason: str) -> None:
        if self._reason != reason:
            log.warning("%s is lost: %s; trying again until it is back", self.name, reason)
        self._enter(SourceState.LOST, reason)

    def _enter(self, state: SourceState, reason: str = "") -> None:
        if (state, reason) != (self._state, self._reason):
            self._state, self._reason = state, reason
            self.on_change()

    async def _rest(self, seconds: float | None = None) -> None:
        """Sleep until the time is up, or `stop` or `pause` is called."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._nudge.wait()
        self._nudge.clear()


def _sendable(text: str) -> str:
    """Replace what UTF-8 cannot encode: the name of a file or device may contain any bytes."""
    return text.encode(errors="replace").decode()
