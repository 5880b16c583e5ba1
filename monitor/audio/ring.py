"""A ring of samples between one writing thread and one reader, without a lock.

The writer copies a block and only then advances `written`; the reader copies its range and only then checks that the
writer has not overwritten it. Both counts only grow, and CPython makes a single attribute store atomic, so neither side
ever waits for the other.

On a weakly ordered CPU the GIL keeps copy and count in this order. A free-threaded build on ARM needs a memory fence
between the two, in the writer and in the reader; x86 keeps the order itself.
"""

import numpy as np

from monitor.messages import Samples

RING_SECONDS = 4.0
"""Capacity of a capture's ring: how long the reader may be late."""


class Overrun(Exception):  # noqa: N818 - an event of the stream, not a user's error
    """The writer has overwritten frames before they were read."""


class SampleRing:
    """The newest `capacity` frames of a stream, addressed by their absolute index."""

    def __init__(self, capacity: int, channels: int = 1) -> None:
        self._frames = np.zeros((capacity, channels), np.float32)
        self._writing = 0
        self.capacity = capacity
        self.channels = channels
        self.written = 0
        """Frames written since the start."""
        self.overflows = 0
        """Times that the device reported lost audio to the writer."""

    @property
    def oldest(self) -> int:
        """Index of the oldest frame that is whole, even during a write."""
        return max(0, self._writing - self.capacity)

    def write(self, block: Samples) -> None:
        """Append float32[n, channels]. Only the writing thread calls this; n may not exceed the capacity."""
        n = len(block)
        if n > self.capacity:
            raise ValueError(f"a block of {n} frames does not fit a ring of {self.capacity}")
        at = self.written % self.capacity
        self._writing = self.written + n
        head = min(n, self.capacity - at)
        self._frames[at : at + head] = block[:head]
        if head < n:
            self._frames[: n - head] = block[head:]
        self.written += n

    def read(self, start: int, count: int) -> Samples:
        """Copy frames [start, start + count) to float32[count, channels].

        Raises `Overrun` when some of them have been overwritten, `ValueError` when some are not written yet.
        """
        if start + count > self.written:
            raise ValueError(f"frames up to {start + count} are not written yet, only {self.written}")
        out = np.empty((count, self.channels), np.float32)
        at = start % self.capacity
        head = min(count, self.capacity - at)
        if start >= self.oldest and count <= self.capacity:
            out[:head] = self._frames[at : at + head]
            out[head:] = self._frames[: count - head]
        if start < self.oldest:
            raise Overrun(f"frame {start} has been overwritten; the oldest is {self.oldest}")
        return out
