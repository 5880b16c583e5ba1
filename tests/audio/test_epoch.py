"""The clock, which finds the time of a sound from late deliveries, and the end of an epoch."""

import random
import time
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.audio import epoch as epoch_module
from monitor.audio.epoch import Cause, Clock, Ended, Epoch
from monitor.audio.windows import Grid
from monitor.errors import SourceError
from monitor.messages import Samples
from tests.parts.fake_capture import FakeCapture


@pytest.mark.parametrize("ppm", [-100, 0, 100])
def test_follows_a_drifting_device(ppm: int) -> None:
    """The error stays below 30 ms for three hours of blocks, up to 100 ms late, from a clock that is off by 100 ppm."""
    rng, clock, worst = random.Random(1), Clock(), 0.0
    for block in range(3 * 3600 * 4):
        true = block * 0.25
        seconds = true * (1 + ppm * 1e-6)
        clock.observe(seconds, 1000 + true + rng.uniform(0, 0.1))
        if block > 100:
            worst = max(worst, abs(clock.monotonic(seconds) - (1000 + true)))
    assert worst < 0.03


def test_one_late_block_does_not_move_it() -> None:
    """A block that arrives two seconds late changes no time."""
    clock = Clock()
    for n in range(10):
        clock.observe(n * 0.1, 50 + n * 0.1)
    clock.observe(1.0, 53.0)
    assert clock.monotonic(1.0) == pytest.approx(51.0, abs=0.01)


def test_a_pipe_fed_fast_keeps_durations() -> None:
    """An hour of audio that arrives within a second lasts an hour, to a part in a thousand."""
    clock = Clock(live=False)
    clock.observe(0.0, 10.0)
    clock.observe(3600.0, 11.0)
    assert clock.monotonic(3600.0) - clock.monotonic(0.0) == pytest.approx(3600, rel=1e-3)
    assert clock.monotonic(0.0) == pytest.approx(10.0, abs=0.01)


def test_gives_utc() -> None:
    """A second that arrives now has the present time."""
    clock = Clock()
    clock.observe(7.0, time.monotonic())
    assert abs((clock.utc(7.0) - datetime.now(UTC)).total_seconds()) < 0.5


def epoch_of(capture: FakeCapture) -> Epoch:
    """An epoch from the first frame of the capture on."""
    return Epoch("kitchen", 0, capture, 0, Grid(rate=1000, window=100, hop=50))


def test_a_live_capture_is_lost_when_it_delivers_nothing() -> None:
    """The stall timeout counts from the last samples that arrived."""
    capture = FakeCapture()
    epoch, now = epoch_of(capture), time.monotonic()
    assert epoch.check(now + 1.9, 2.0) is None
    capture.play(np.zeros(10, np.float32))
    assert epoch.check(now + 3.0, 2.0) is None
    assert epoch.check(now + 4.9, 2.0) is None
    assert epoch.check(now + 5.1, 2.0) == Ended(Cause.LOST, "a fake device has delivered nothing for 2 s")


def test_a_pipe_may_be_silent_for_any_time() -> None:
    """A capture that is not live never stalls."""
    epoch = epoch_of(FakeCapture(live=False))
    assert epoch.check(time.monotonic() + 3600, 2.0) is None


def test_a_failure_is_a_loss_and_an_end_is_not() -> None:
    """The failure of a capture is the reason, even if the capture has also finished."""
    capture = FakeCapture()
    epoch = epoch_of(capture)
    capture.finished = True
    assert epoch.check(time.monotonic(), 2.0) == Ended(Cause.FINISHED)
    capture.failure = SourceError("unplugged")
    assert epoch.check(time.monotonic(), 2.0) == Ended(Cause.LOST, "unplugged")


@given(
    steps=st.lists(st.integers(1, 120), min_size=1, max_size=40),
    rate=st.sampled_from([1000, 2000, 3000]),
    window=st.sampled_from([40, 100, 400]),
    seed=st.integers(0, 100),
)
@settings(deadline=None)
def test_the_books_balance_however_late_the_reader_is(steps: list[int], rate: int, window: int, seed: int) -> None:
    """After any overruns, every window of the grid was handed out or counted as dropped, and holds its true samples."""
    rng, grid = random.Random(seed), Grid(rate=1000, window=window, hop=50)
    capture = FakeCapture(rate=rate, capacity=300 * rate // 1000)
    epoch = Epoch("kitchen", 0, capture, 0, grid)
    taken, heard = [], 0
    for step in steps:
        frames = step * rate // 1000
        at = np.arange(heard, heard + frames, dtype=np.float32) / rate
        capture.play(np.sin(2 * np.pi * 20 * at).astype(np.float32))
        heard += frames
        if rng.random() < 0.4:
            epoch.drain()
            taken += list(iter(epoch.windower.take, None))
    epoch.close()
    taken += list(iter(epoch.windower.take, None))
    windower = epoch.windower
    assert abs(windower.length - heard * 1000 / rate) <= 1
    assert windower.pending == 0
    assert windower.emitted + windower.dropped == windower.possible == max(0, -(-(windower.length - window) // 50)) + 1
    assert 0 <= epoch.captured <= heard / rate
    for each in taken:
        n = min(window, windower.length - each.start)
        truth = np.sin(2 * np.pi * 20 * np.arange(each.start, each.start + n) / 1000)
        inner = slice(20, max(20, n - 20))  # the filter rings where audio begins or ends
        assert np.abs(each.samples[:n][inner] - truth[inner]).max(initial=0) < 0.3


def test_a_reader_that_is_far_behind_prepares_only_the_newest_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Audio whose windows would be dropped anyway is counted, but does not pass through the signal path."""
    capture = FakeCapture()
    epoch = epoch_of(capture)
    prepared = 0

    def push(block: Samples) -> Samples:
        nonlocal prepared
        prepared += len(block)
        return block[:, 0]

    monkeypatch.setattr(epoch.signal, "push", push)
    capture.play(np.zeros(3000, np.float32))
    epoch.drain()
    window = epoch.windower.take()
    assert window is not None
    assert (window.end, prepared) == (3000, 100)
    assert (epoch.captured, epoch.overruns) == (3.0, 0)
    assert (epoch.windower.emitted, epoch.windower.dropped, epoch.windower.pending) == (1, 58, 0)


def test_a_reader_that_is_too_late_goes_on_with_the_newest_window() -> None:
    """The next window is the newest one of the grid; what was lost is not counted as captured."""
    capture = FakeCapture(capacity=400)
    epoch = epoch_of(capture)
    for _ in range(10):
        capture.play(np.zeros(150, np.float32))
    epoch.drain()
    assert epoch.check(time.monotonic(), 2.0) is None
    window = epoch.windower.take()
    assert window is not None
    assert window.end == 1500
    assert (epoch.overruns, epoch.captured) == (1, 0.1)
    assert (epoch.windower.emitted, epoch.windower.dropped, epoch.windower.possible) == (1, 28, 29)


class RealTime:
    """A monotonic clock that only a test moves, and a capture that delivers by it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, live: bool = True) -> None:
        self.now = 1000.0
        self.capture = FakeCapture(live=live)
        self.capture.current = True
        self.epoch = epoch_of(self.capture)
        monkeypatch.setattr(epoch_module, "time", self)

    def monotonic(self) -> float:
        """The time now."""
        return self.now

    def pass_by(self, seconds: float, delivered: float, step: float = 0.05) -> None:
        """Let time pass, while audio arrives evenly."""
        for _ in range(round(seconds / step)):
            self.now += step
            self.capture.play(np.zeros(round(delivered / seconds * step * 1000), np.float32))
            self.epoch.drain()


@pytest.mark.parametrize("live", [True, False])
def test_samples_that_fall_behind_real_time_are_a_gap(monkeypatch: pytest.MonkeyPatch, live: bool) -> None:
    """After a pause of a writer the epoch ends with the last sample before it, and what comes after is not read."""
    real = RealTime(monkeypatch, live=live)
    real.pass_by(3.0, 3.0)
    real.now += 2.0
    real.pass_by(1.0, 1.0)
    assert real.epoch.check(real.now, 5.0) == Ended(Cause.GAP)
    assert real.epoch.gap == pytest.approx(2.0, abs=0.1)
    assert real.epoch.read == 3000
    real.epoch.close()
    assert real.epoch.windower.length == 3000
    assert real.epoch.span[1] == pytest.approx(1003.0, abs=0.1)


def test_samples_that_are_only_late_are_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a network or a sound server delivers later, in a burst, continues the epoch."""
    real = RealTime(monkeypatch)
    real.pass_by(3.0, 3.0)
    real.now += 2.0
    real.pass_by(0.2, 2.2)
    real.pass_by(3.0, 3.0)
    assert real.epoch.check(real.now, 5.0) is None
    assert real.epoch.read == 8200
    assert real.epoch.span[0] == pytest.approx(1000.0, abs=0.1)


def test_a_steady_loss_is_a_gap_once_it_adds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Damaged packets that are omitted, one in twenty, end the epoch before its times are wrong by 0.3 s."""
    real = RealTime(monkeypatch)
    real.pass_by(20.0, 19.0)
    assert real.epoch.gap
    assert real.epoch.gap < 0.3
    assert abs(real.epoch.span[1] - 1000 - real.epoch.read / 960) < 0.3


def test_a_writer_that_waits_for_room_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe that is read late is behind, and nothing of it is missing."""
    real = RealTime(monkeypatch, live=False)
    real.pass_by(1.0, 1.0)
    real.capture.current = False
    real.now += 60.0
    real.pass_by(2.0, 2.0)
    assert real.epoch.check(real.now, 5.0) is None
    assert real.epoch.read == 3000


def test_the_end_after_a_gap_is_not_spliced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that ends just after a pause leaves samples for another epoch."""
    real = RealTime(monkeypatch, live=False)
    real.pass_by(1.0, 1.0)
    real.now += 2.0
    real.pass_by(0.2, 0.2)
    real.capture.finished = True
    assert real.epoch.check(real.now, 5.0) == Ended(Cause.GAP)
    real.epoch.close()
    assert real.epoch.read == 1000


def test_the_sounds_of_a_pipe_end_when_it_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe that delivers nothing for the stall time ends its epoch, unless it is not read yet."""
    real = RealTime(monkeypatch, live=False)
    real.pass_by(1.0, 1.0)
    assert real.epoch.check(real.now + 1.9, 2.0) is None
    assert real.epoch.check(real.now + 2.1, 2.0) is None  # since the last look
    assert real.epoch.check(real.now + 4.2, 2.0) == Ended(Cause.GAP)
    unread = RealTime(monkeypatch, live=False)
    unread.pass_by(1.0, 1.0)
    unread.capture.play(np.zeros(10, np.float32))
    assert unread.epoch.check(unread.now, 2.0) is None
    assert unread.epoch.check(unread.now + 60, 2.0) is None
