"""Overlapping windows on a fixed hop grid, with a bounded backlog.

At any time emitted + dropped + pending == possible.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from monitor.messages import Samples, Window


@dataclass(frozen=True, slots=True)
class Grid:
    """Sample rate, window length and hop."""

    rate: int
    """Hertz."""
    window: int
    """Samples."""
    hop: int
    """Samples."""


class Windower:
    """Cuts one epoch of a source into windows; window k always begins at sample k * hop."""

    def __init__(
        self,
        source: str,
        epoch: int,
        grid: Grid,
        utc: Callable[[float], datetime],
        backlog: int | None = None,
    ) -> None:
        """`utc` returns the time of a second of the epoch. With a `backlog`, a reader that falls behind by more windows
        than that gets the newest one next and the others are dropped; without, it gets every window."""
        self._source, self._epoch, self._rate, self._utc = source, epoch, grid.rate, utc
        self._window, self._hop, self._backlog = grid.window, grid.hop, backlog
        self._samples: Samples = np.zeros(0, np.float32)
        self._base = 0  # index of the first sample still held
        self._next = 0  # number of the next window on the grid
        self.length = 0
        """Samples pushed or lost."""
        self.emitted = 0

    @property
    def possible(self) -> int:
        """Windows completed since the start of the epoch."""
        held = self._base + len(self._samples)
        return (held - self._window) // self._hop + 1 if held >= self._window else 0

    @property
    def pending(self) -> int:
        """Complete windows that have not been taken."""
        return max(0, self.possible - self._next)

    @property
    def dropped(self) -> int:
        """Windows that nobody gets: the reader fell behind, or some of their samples are lost."""
        return min(self._next, self.possible) - self.emitted

    @property
    def missing(self) -> int:
        """Samples until the next window is complete; 0 when one is pending."""
        return max(0, self._next * self._hop + self._window - self._base - len(self._samples))

    def push(self, samples: Samples) -> None:
        """Add float32[n] to the end of the epoch."""
        self.length += len(samples)
        self._append(samples)
        if self._backlog is not None and self.pending > self._backlog:
            self._next += self.pending - 1
            self._forget()

    def skip(self, lost: int) -> None:
        """Leave out samples that are lost, and those before them: the next window begins after them."""
        self.length += lost
        self._base += len(self._samples) + lost
        self._samples = self._samples[:0]
        self._next = max(self._next, -(-self._base // self._hop))

    def take(self) -> Window | None:
        """Return the oldest pending window, or None."""
        if not self.pending:
            return None
        start = self._next * self._hop
        samples = self._samples[start - self._base : start - self._base + self._window].copy()
        samples.flags.writeable = False
        self._next += 1
        self.emitted += 1
        self._forget()
        return Window(self._source, self._epoch, start, self._rate, samples, self._utc(start / self._rate))

    def finish(self) -> None:
        """Complete a last window with silence, to analyse every sample of an epoch that is over."""
        possible = self.possible
        covered = (possible - 1) * self._hop + self._window if possible else 0
        if self.length > covered:
            end = possible * self._hop + self._window
            self._append(np.zeros(end - self._base - len(self._samples), np.float32))

    def _append(self, samples: Samples) -> None:
        self._samples = np.concatenate((self._samples, samples))
        self._forget()

    def _forget(self) -> None:
        """Release the samples before the next window."""
        gone = min(max(0, self._next * self._hop - self._base), len(self._samples))
        if gone:
            self._samples = self._samples[gone:]
            self._base += gone
