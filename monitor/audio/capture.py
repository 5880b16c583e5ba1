"""What every input looks like once it is open: a thread that fills a ring until it ends, is lost, or is closed."""

from collections.abc import Callable
from typing import Protocol

from monitor.audio.ring import SampleRing


class Capture(Protocol):
    """An open input. Its own thread (PortAudio's, or one of ours) writes `ring`."""

    @property
    def ring(self) -> SampleRing:
        """Frames as they come: the device's own rate and channels, float32 in [-1, 1]."""

    @property
    def rate(self) -> int:
        """Hertz."""

    @property
    def device(self) -> str:
        """What is open, in words for a person."""

    @property
    def live(self) -> bool:
        """True where sound passes whether we listen or not (a microphone, a stream, a file played in real time):
        a slow reader loses the oldest. False where the writer waits until `consumed` makes room (a pipe)."""

    @property
    def finished(self) -> bool:
        """The writer has stopped: all that it will ever write is in the ring."""

    @property
    def failure(self) -> Exception | None:
        """Why it stopped; None while it runs and at a regular end."""

    def consumed(self, frames: int) -> None:
        """The reader is done with all frames below this absolute index."""

    def close(self) -> None:
        """Stop and free the device. Returns promptly even when the device hangs; may be called twice."""


Opener = Callable[[], Capture]
"""Opens the input; blocks until it runs. Raises `SourceError`."""
