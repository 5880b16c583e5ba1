"""One uninterrupted piece of a source, an epoch: from the capture's ring, resampled, to windows."""

import time

import numpy as np

from monitor.audio.capture import Capture
from monitor.audio.clock import Clock
from monitor.audio.level import StuckDetector
from monitor.audio.resample import Resampler
from monitor.audio.ring import Overrun
from monitor.audio.windows import Grid, Windower
from monitor.messages import Samples

BACKLOG = 1.0
"""A live source that is further behind than this many seconds skips to its newest window."""


class Stretch:
    """Takes what the capture writes, and cuts it into windows."""

    def __init__(self, source: str, epoch: int, capture: Capture, begin: int, grid: Grid) -> None:
        """`begin` is the capture's first frame that belongs to it."""
        self.capture, self.epoch = capture, epoch
        self.clock = Clock(live=capture.live)
        self.stuck = StuckDetector(grid.rate)
        backlog = max(1, round(BACKLOG * grid.rate / grid.hop)) if capture.live else None
        self.windower = Windower(source, epoch, grid, self.clock.utc, backlog)
        self._resampler = Resampler(capture.rate, grid.rate)
        self._begin = self._read = begin
        self.overrun = False
        """The reader came too late: some audio is gone, and this epoch must end."""
        self.closed = False

    @property
    def captured(self) -> float:
        """Seconds of audio read so far."""
        return (self._read - self._begin) / self.capture.rate

    def drain(self) -> None:
        """Move what the capture has delivered from its ring into the windower."""
        ring, rate = self.capture.ring, self.capture.rate
        written = ring.written
        if written == self._read or self.overrun:
            return
        self.clock.observe((written - self._begin) / rate, time.monotonic())
        try:
            block = ring.read(self._read, written - self._read)
        except Overrun:
            self.overrun = True
            return
        self._read = written
        self.capture.consumed(written)
        self._push(self._resampler.push(block))

    def close(self) -> None:
        """The capture delivers no more: take in the rest and complete the last window."""
        self.drain()
        self._push(self._resampler.push(np.zeros((0, self.capture.ring.channels), np.float32), last=True))
        self.windower.finish()
        self.closed = True

    def _push(self, samples: Samples) -> None:
        self.stuck.push(samples)
        self.windower.push(samples)
