"""A day of a microphone that drifts, jitters and loses audio, in minutes: `python -m tests.soak.day [--hours 24]`.

Samples count the true seconds, so each window tells how wrong its time is. Prints the greatest error outside the moment
of a loss, the error at the end, the seconds that were lost and counted, and the memory at the beginning and the end.
"""

import argparse
import random
import resource

import numpy as np

from monitor.audio import epoch as epoch_module
from monitor.audio.epoch import Cause, Epoch
from monitor.audio.windows import Grid
from tests.parts.fake_capture import FakeCapture

RATE, BLOCK = 1000, 0.1
"""Hertz, and seconds between two deliveries."""
GRID = Grid(RATE, RATE, RATE // 4)
JITTER = 0.08
"""Most seconds by which a delivery is late."""


class Day:
    """A clock that only this script moves, and a capture whose device runs at its own speed."""

    def __init__(self, drift: float, seed: int) -> None:
        """`drift` in parts per million."""
        self._speed, self._random = 1 + drift * 1e-6, random.Random(seed)
        self._now = self._true = 0.0
        self._due = 0.0
        self.capture = FakeCapture(rate=RATE)
        self.capture.current = True
        self.truth: dict[int, float] = {0: 0.0}
        """True second of some frames."""
        self.lost = 0.0

    def monotonic(self) -> float:
        """The time now."""
        return self._now

    def deliver(self) -> None:
        """Let a block's time pass, and deliver it somewhat late."""
        self._true += BLOCK
        self._due += BLOCK * self._speed * RATE
        frames = int(self._due)
        self._due -= frames
        self._now = self._true + self._random.uniform(0, JITTER)
        self.capture.play(np.zeros(frames, np.float32))

    def lose(self) -> None:
        """Let some time pass without samples."""
        seconds = self._random.uniform(0.4, 2.9)
        self.lost += seconds
        self._true += seconds
        self._now = self._true
        self.truth[self.capture.ring.written] = self._true


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--drift", type=float, default=50.0, help="parts per million by which the device is fast")
    parser.add_argument("--every", type=float, default=600.0, help="seconds between two losses")
    arguments = parser.parse_args()
    day = Day(arguments.drift, 1)
    vars(epoch_module)["time"] = day
    number = counted = begin = epochs = 0
    epoch, worst, memory, lost = Epoch("day", 0, day.capture, 0, GRID), 0.0, 0, 0.0
    blocks = round(arguments.hours * 3600 / BLOCK)
    for block in range(blocks):
        if block and block % round(arguments.every / BLOCK) == 0:
            day.lose()
        day.deliver()
        epoch.drain()
        while epoch.windower.take() is not None:
            counted += 1
        if (ended := epoch.check(day.monotonic(), 3.0)) is not None:
            assert ended.cause is Cause.GAP, ended
            before = epoch.span[1]
            epoch.close()
            epochs, begin, number = epochs + 1, epoch.read, number + 1
            epoch = Epoch("day", number, day.capture, begin, GRID)
            epoch.drain()
            lost += epoch.span[0] - before
            error = abs(epoch.span[0] - day.truth[begin])
            worst = max(worst, error)
        if block == blocks // 100:
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
    error = epoch.span[1] - day._true
    print(f"{arguments.hours:g} h, {arguments.drift:g} ppm, {counted} windows, {epochs} gaps")
    print(f"lost {day.lost:.1f} s, counted {lost:.1f} s; greatest error at the start of an epoch {1000 * worst:.0f} ms")
    print(f"error at the end {1000 * error:.0f} ms; memory grew by {grown / 1024:.1f} MB since the first hundredth")


if __name__ == "__main__":
    main()
