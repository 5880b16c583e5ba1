"""A ring of samples between one writer and one reader, without a lock: two threads, or two processes.

The writer copies a block and only then advances `written`; the reader copies its range and only then checks that the
writer has not overwritten it. The counters only grow, and each is one aligned 64-bit store, so neither side ever waits
for the other. Fences keep the order of copy and count on CPUs that would change it.
"""

from typing import Any

import numpy as np

from monitor.audio.inputs.recorder import HEADER, OVERFLOWS, WRITING, WRITTEN, Fence
from monitor.messages import Samples

RING_SECONDS = 4.0
"""Capacity of a capture's ring: how long the reader may be late."""


class Overrun(Exception):  # noqa: N818 - an event of the stream, not a user's error
    """The writer has overwritten frames before they were read."""


class SampleRing:
    """The newest `capacity` frames of a stream, addressed by their absolute index."""

    def __init__(self, capacity: int, channels: int = 1, memory: Any = None) -> None:
        """`memory` is a buffer that a `RingWriter` of another process fills; without one, `write` fills the ring."""
        if memory is None:
            memory = np.zeros(HEADER + capacity * channels * 4, np.uint8)
        self._counters = memoryview(memory)[:HEADER].cast("q")
        self._frames = np.frombuffer(memory, np.float32, offset=HEADER).reshape(capacity, channels)
        self.capacity = capacity
        self.channels = channels
        self._write_fence, self._read_fence = Fence(), Fence()

    @property
    def written(self) -> int:
        """Frames written since the start."""
        return self._counters[WRITTEN]

    @property
    def overflows(self) -> int:
        """Times that the device reported lost audio to the writer."""
        return self._counters[OVERFLOWS]

    @property
    def oldest(self) -> int:
        """Index of the oldest frame that is whole, even during a write."""
        return max(0, self._counters[WRITING] - self.capacity)

    def write(self, block: Samples) -> None:
        """Append float32[n, channels]. Only the writing thread calls this; n may not exceed the capacity."""
        n, written = len(block), self.written
        if n > self.capacity:
            raise ValueError(f"a block of {n} frames does not fit a ring of {self.capacity}")
        at = written % self.capacity
        self._counters[WRITING] = written + n
        self._write_fence()
        head = min(n, self.capacity - at)
        self._frames[at : at + head] = block[:head]
        if head < n:
            self._frames[: n - head] = block[head:]
        self._write_fence()
        self._counters[WRITTEN] = written + n

    def read(self, start: int, count: int) -> Samples:
        """Copy frames [start, start + count) to float32[count, channels].

        Raises `Overrun` when some of them have been overwritten, `ValueError` when some are not written yet.
        """
        if start + count > self.written:
            raise ValueError(f"frames up to {start + count} are not written yet, only {self.written}")
        self._read_fence()
        out = np.empty((count, self.channels), np.float32)
        at = start % self.capacity
        head = min(count, self.capacity - at)
        if start >= self.oldest and count <= self.capacity:
            out[:head] = self._frames[at : at + head]
            out[head:] = self._frames[: count - head]
        self._read_fence()
        if start < self.oldest:
            raise Overrun(f"frame {start} has been overwritten; the oldest is {self.oldest}")
        return out
