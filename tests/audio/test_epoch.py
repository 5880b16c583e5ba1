"""The clock: the time of the sound, from late and jittery deliveries."""

import random
import time
from datetime import UTC, datetime

import pytest

from monitor.audio.epoch import Clock


@pytest.mark.parametrize("ppm", [-100, 0, 100])
def test_follows_a_drifting_device(ppm: int) -> None:
    """Blocks come 0 to 100 ms late from a crystal that is 100 ppm off; after three hours the error is below 30 ms."""
    rng, clock, worst = random.Random(1), Clock(), 0.0
    for block in range(3 * 3600 * 4):
        true = block * 0.25
        seconds = true * (1 + ppm * 1e-6)
        clock.observe(seconds, 1000 + true + rng.uniform(0, 0.1))
        if block > 100:
            worst = max(worst, abs(clock.monotonic(seconds) - (1000 + true)))
    assert worst < 0.03


def test_one_late_block_does_not_move_it() -> None:
    """A hiccup of two seconds is delivery, not time."""
    clock = Clock()
    for n in range(10):
        clock.observe(n * 0.1, 50 + n * 0.1)
    clock.observe(1.0, 53.0)
    assert clock.monotonic(1.0) == pytest.approx(51.0, abs=0.01)


def test_a_pipe_fed_fast_keeps_durations() -> None:
    """An hour of audio fed in a second still lasts an hour, within a part in a thousand."""
    clock = Clock(live=False)
    clock.observe(0.0, 10.0)
    clock.observe(3600.0, 11.0)
    assert clock.monotonic(3600.0) - clock.monotonic(0.0) == pytest.approx(3600, rel=1e-3)
    assert clock.monotonic(0.0) == pytest.approx(10.0, abs=0.01)


def test_gives_utc() -> None:
    """A second that is heard now is now."""
    clock = Clock()
    clock.observe(7.0, time.monotonic())
    assert abs((clock.utc(7.0) - datetime.now(UTC)).total_seconds()) < 0.5
