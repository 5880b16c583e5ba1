"""A capture without a device."""

from monitor.audio.ring import SampleRing
from monitor.messages import Samples


class FakeCapture:
    """A device that does what the test says."""

    def __init__(self, live: bool = True, rate: int = 1000, capacity: int = 4000) -> None:
        self.ring = SampleRing(capacity)
        self.rate, self.live, self.device = rate, live, "a fake device"
        self.current = False
        """A test that delivers in real time sets it."""
        self.finished = False
        self.failure: Exception | None = None
        self.closed = False
        self.taken = 0

    def play(self, samples: Samples) -> None:
        """Deliver float32[n]."""
        self.ring.write(samples[:, None])

    def consumed(self, frames: int) -> None:
        """Note how far the reader is."""
        self.taken = frames

    def close(self) -> None:
        """Note the call."""
        self.closed = True
