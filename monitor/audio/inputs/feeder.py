"""A thread that fills a ring from a file, a network stream, a pipe, or the demonstration."""

import threading
import time
from collections.abc import Generator
from contextlib import closing

from monitor.audio.ring import RING_SECONDS, SampleRing
from monitor.messages import Samples

PIECE = 0.05
"""Seconds written at once: a codec's large frames still arrive evenly."""
SLACK = 1.0
"""Seconds of delay that the following blocks may make up for by arriving at once."""


class Feeder:
    """A capture that writes blocks of audio, either in real time (live) or as fast as the reader takes them."""

    def __init__(
        self,
        blocks: Generator[Samples, None, None],
        *,
        rate: int,
        channels: int,
        device: str,
        live: bool,
        speed: float = 1.0,
    ) -> None:
        """Start the thread, which alone iterates over `blocks` and closes it at the end.

        `blocks` yields float32[n, channels]; an empty block means that nothing has arrived yet, and gives `close` a
        chance. What it raises becomes `failure`. When live, a block is written once its last sample is due in real
        time multiplied by `speed`: above 1 it is a stream that may catch up, otherwise a recording.
        """
        self.ring = SampleRing(round(RING_SECONDS * rate), channels)
        self.rate = rate
        self.device = device
        self.live = live
        self.current = False
        self.finished = False
        self.failure: Exception | None = None
        self._blocks = blocks
        self._speed = speed
        self._consumed = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=f"feeder {device}", daemon=True)
        self._thread.start()

    def consumed(self, frames: int) -> None:
        """Release all frames below this absolute index: a writer that is not live may continue."""
        if not self.live:
            with self._changed:
                self._consumed = frames
                self._changed.notify()

    def close(self) -> None:
        """Stop the thread. One that hangs in a read is abandoned; the read has its own timeout."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout=1.0)

    def _run(self) -> None:
        try:
            with closing(self._blocks):
                self._write_all()
        except Exception as error:  # the reader must learn of anything that ends the thread
            self.failure = error
        finally:
            self.finished = True

    def _write_all(self) -> None:
        step = max(1, round(PIECE * self.rate))
        due = time.monotonic() - (SLACK if self._speed > 1 else 0.0)
        for block in self._blocks:
            for at in range(0, len(block), step):
                piece = block[at : at + step]
                if self.live:
                    due = max(due + len(piece) / self.rate / self._speed, time.monotonic() - SLACK)
                    self.current = self._speed > 1 and due <= time.monotonic()
                    self._wait_until(due)
                else:
                    self._wait_for_room(len(piece))
                if self._closed:
                    return
                self.ring.write(piece)
            if self._closed:
                return

    def _wait_until(self, due: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed, timeout=max(0.0, due - time.monotonic()))

    def _wait_for_room(self, frames: int) -> None:
        with self._changed:
            end = self.ring.written + frames
            self.current = end - self._consumed <= self.ring.capacity
            self._changed.wait_for(lambda: self._closed or end - self._consumed <= self.ring.capacity)
