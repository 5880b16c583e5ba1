"""One uninterrupted piece of a source: from the capture's ring, resampled, to windows, with a clock of its own."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto

import numpy as np

from monitor.audio.capture import Capture
from monitor.audio.level import StuckDetector
from monitor.audio.resample import Resampler
from monitor.audio.ring import Overrun
from monitor.audio.windows import Grid, Windower
from monitor.messages import EpochEnd, Samples

BACKLOG = 1.0
"""A live source that is further behind than this many seconds skips to its newest window."""
DRIFT = 5e-4
"""Seconds per second: above the error of any sound card's clock (about 100 ppm), too small to notice in a duration."""


class Cause(Enum):
    """Kind of end."""

    FINISHED = auto()
    """The audio came to its regular end, or the monitor stops."""
    PAUSED = auto()
    """Listening is paused."""
    LOST = auto()
    """The input failed, stalled, or was read too late."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Why an epoch, or the attempt to begin one, is over."""

    cause: Cause
    reason: str = ""
    """For a person; set when the source is lost."""


def nothing_for(capture: Capture, seconds: float) -> str:
    """Return the reason of a capture that has been silent for so long, for a person."""
    return f"{capture.device} has delivered nothing for {seconds:g} s"


class Clock:
    """Maps seconds within one epoch to UTC, although audio arrives late and in blocks and a device's clock drifts.

    `monotonic time of second s = offset + s`. Each observation gives `now - seconds`: the offset plus a delivery delay
    that is never negative, so the smallest one is the best. The minimum rises slowly, to follow a device that runs
    slow; a device that runs fast pulls it down by itself.
    """

    def __init__(self, live: bool = True) -> None:
        """A `live` stream cannot run ahead of real time, so its offset may fall at once. A pipe can deliver faster
        than real time, so its offset moves by at most `DRIFT` either way."""
        self._live = live
        self._offset: float | None = None
        self._seen = 0.0

    def observe(self, seconds: float, now: float) -> None:
        """Note that at monotonic time `now` this many seconds of the epoch have arrived."""
        offset = now - seconds
        if self._offset is None:
            self._offset = offset
        else:
            slew = DRIFT * max(0.0, now - self._seen)
            lowest = -float("inf") if self._live else self._offset - slew
            self._offset = max(min(offset, self._offset + slew), lowest)
        self._seen = now

    def monotonic(self, seconds: float) -> float:
        """Return the monotonic time of this second of the epoch."""
        return seconds + (self._offset if self._offset is not None else time.monotonic())

    def utc(self, seconds: float) -> datetime:
        """Return the UTC time of this second of the epoch, by the wall clock as it is set now."""
        return datetime.now(UTC) + timedelta(seconds=self.monotonic(seconds) - time.monotonic())


class Epoch:
    """Reads what a capture writes, and cuts it into windows."""

    def __init__(self, source: str, number: int, capture: Capture, begin: int, grid: Grid) -> None:
        """Start at the capture's frame `begin`. `number` counts the epochs of the source."""
        self.capture = capture
        self.stuck = StuckDetector(grid.rate)
        self.overrun = False
        """The reader was too late: some audio is lost, and this epoch must end."""
        self.closed = False
        self._source, self._number, self._rate = source, number, grid.rate
        self._clock = Clock(live=capture.live)
        backlog = max(1, round(BACKLOG * grid.rate / grid.hop)) if capture.live else None
        self.windower = Windower(source, number, grid, self._clock.utc, backlog)
        self._resampler = Resampler(capture.rate, grid.rate)
        self._begin = self._read = begin
        self._written, self._moved = 0, time.monotonic()

    @property
    def captured(self) -> float:
        """Seconds of audio read so far."""
        return (self._read - self._begin) / self.capture.rate

    def check(self, now: float, stall_timeout: float) -> Ended | None:
        """Return why the epoch is over, None while it continues.

        A live capture is lost when it delivers nothing for `stall_timeout` seconds; `now` is monotonic time.
        """
        capture = self.capture
        if capture.failure is not None:
            return Ended(Cause.LOST, str(capture.failure))
        if capture.finished:
            return Ended(Cause.FINISHED)
        if self.overrun:
            return Ended(Cause.LOST, "this machine was too busy to listen, and some audio was lost")
        if capture.ring.written != self._written or not capture.live:
            self._written, self._moved = capture.ring.written, now
        elif now - self._moved > stall_timeout:
            return Ended(Cause.LOST, nothing_for(capture, stall_timeout))
        return None

    def drain(self) -> None:
        """Move what the capture has delivered from its ring into the windower."""
        ring, rate = self.capture.ring, self.capture.rate
        written = ring.written
        if written == self._read or self.overrun:
            return
        self._clock.observe((written - self._begin) / rate, time.monotonic())
        try:
            block = ring.read(self._read, written - self._read)
        except Overrun:
            self.overrun = True
            return
        self._read = written
        self.capture.consumed(written)
        self._push(self._resampler.push(block))

    def close(self) -> None:
        """Read the rest and complete the last window; the capture delivers no more."""
        self.drain()
        self._push(self._resampler.push(np.zeros((0, self.capture.ring.channels), np.float32), last=True))
        self.windower.finish()
        self.closed = True

    def end(self) -> EpochEnd:
        """Return the message that follows the last window."""
        end = self.windower.length
        return EpochEnd(self._source, self._number, end, self._rate, self._clock.utc(end / self._rate))

    def _push(self, samples: Samples) -> None:
        self.stuck.push(samples)
        self.windower.push(samples)
