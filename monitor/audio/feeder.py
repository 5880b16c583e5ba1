"""A thread of ours that fills a ring: with a file, a network stream, a pipe, or the demonstration."""

import threading
import time
from collections.abc import Generator
from contextlib import closing

from monitor.audio.ring import SampleRing
from monitor.messages import Samples

CAPACITY = 4.0  # seconds of audio in the ring
STEP = 0.05  # seconds written at once, so that a codec's large frames still arrive evenly
SLACK = 1.0  # seconds that a late block may be made up for by writing the next ones at once


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

        `blocks` gives float32[n, channels]; an empty block means that nothing has come yet, and lets a close be
        noticed. What it raises becomes `failure`. Live, no block is written before its last sample has sounded;
        `speed` is in multiples of real time.
        """
        self.ring = SampleRing(round(CAPACITY * rate), channels)
        self.rate = rate
        self.device = device
        self.live = live
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
        """The reader is done with all frames below this absolute index: a lossless writer may go on."""
        if not self.live:
            with self._changed:
                self._consumed = frames
                self._changed.notify()

    def close(self) -> None:
        """Stop the thread; one that hangs in a read is left behind, its read has a timeout of its own."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout=1.0)

    def _run(self) -> None:
        try:
            with closing(self._blocks):
                self._write_all()
        except Exception as error:  # whatever ended the thread, the reader must hear of it
            self.failure = error
        finally:
            self.finished = True

    def _write_all(self) -> None:
        step = max(1, round(STEP * self.rate))
        due = time.monotonic()
        for block in self._blocks:
            for at in range(0, len(block), step):
                piece = block[at : at + step]
                if self.live:
                    due = max(due + len(piece) / self.rate / self._speed, time.monotonic() - SLACK)
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
            self._changed.wait_for(lambda: self._closed or end - self._consumed <= self.ring.capacity)
