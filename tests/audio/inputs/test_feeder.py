"""The thread that fills a ring from blocks."""

import threading
import time
from collections.abc import Callable, Generator

import numpy as np
import pytest

from monitor.audio.inputs import feeder
from monitor.audio.inputs.feeder import Feeder
from monitor.errors import SourceError
from monitor.messages import Samples

Blocks = Generator[Samples, None, None]
RATE = 1000


def ramp(blocks: int, frames: int) -> Blocks:
    """Yield blocks of one channel that counts up."""
    for at in range(blocks):
        yield np.arange(at * frames, (at + 1) * frames, dtype=np.float32)[:, None]


def feed(blocks: Blocks, *, live: bool, speed: float = 1.0) -> Feeder:
    """Start a feeder at 1 kHz."""
    return Feeder(blocks, rate=RATE, channels=1, device="test", live=live, speed=speed)


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds; fail after 20 s."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


@pytest.mark.parametrize("speed", [1.0, 2.0])
def test_live_audio_is_never_early(speed: float) -> None:
    """The ring never holds more than real time allows since the start."""
    begun = time.monotonic()
    capture = feed(ramp(5, 100), live=True, speed=speed)
    while not capture.finished:
        written = capture.ring.written
        assert written / RATE <= (time.monotonic() - begun) * speed + 0.001
        time.sleep(0.005)
    assert capture.ring.written == 500
    assert capture.ring.read(0, 500)[:, 0].tolist() == list(range(500))


def test_live_lateness_does_not_add_up() -> None:
    """Twenty blocks of 50 ms that take 30 ms each to make last one second, not 1.6."""

    def slow() -> Blocks:
        for block in ramp(20, 50):
            time.sleep(0.03)
            yield block

    begun = time.monotonic()
    capture = feed(slow(), live=True)
    wait_for(lambda: capture.finished)
    assert 1.0 <= time.monotonic() - begun < 1.4


def test_audio_after_a_long_stall_keeps_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a stall longer than the slack, audio continues in real time, not in one burst."""
    monkeypatch.setattr(feeder, "SLACK", 0.1)

    def stalling() -> Blocks:
        time.sleep(0.6)
        yield from ramp(10, 50)

    begun = time.monotonic()
    capture = feed(stalling(), live=True)
    wait_for(lambda: capture.finished)
    assert time.monotonic() - begun >= 0.6 + 0.5 - 0.1 - 0.05


def test_lossless_audio_waits_for_its_reader() -> None:
    """The writer stops at a full ring and continues when there is room; nothing is lost or changed."""
    capture = feed(ramp(7, 1501), live=False)
    heard: list[float] = []
    wait_for(lambda: capture.ring.written >= 3950)
    time.sleep(0.1)
    assert capture.ring.written <= capture.ring.capacity == 4000
    while len(heard) < 7 * 1501:
        count = min(700, capture.ring.written - len(heard))
        heard += capture.ring.read(len(heard), count)[:, 0].tolist()
        capture.consumed(len(heard))
        time.sleep(0.001)
    assert heard == list(range(7 * 1501))
    wait_for(lambda: capture.finished)
    assert capture.failure is None


def test_what_the_blocks_raise_is_the_failure() -> None:
    """Audio before an error is in the ring, and the error is available when the feeder has finished."""

    def breaking() -> Blocks:
        yield from ramp(1, 10)
        raise SourceError("torn")

    capture = feed(breaking(), live=False)
    wait_for(lambda: capture.finished)
    assert capture.ring.written == 10
    assert isinstance(capture.failure, SourceError)


def waiting_for_room() -> Feeder:
    """Return a feeder that is not live and whose ring is full."""
    capture = feed(ramp(9, 1000), live=False)
    wait_for(lambda: capture.ring.written == 4000)
    return capture


def waiting_for_time() -> Feeder:
    """Return a live feeder that waits until a block is due."""
    return feed(ramp(1, 50), live=True, speed=0.001)


def waiting_for_data() -> Feeder:
    """Return a feeder whose blocks are empty."""

    def nothing() -> Blocks:
        while True:
            time.sleep(0.01)
            yield np.empty((0, 1), np.float32)

    return feed(nothing(), live=False)


@pytest.mark.parametrize("waiting", [waiting_for_room, waiting_for_time, waiting_for_data])
def test_closing_ends_the_thread_whatever_it_waits_for(waiting: Callable[[], Feeder]) -> None:
    """A closed feeder is finished, without a failure; a second `close` does nothing."""
    capture = waiting()
    time.sleep(0.05)
    capture.close()
    written = capture.ring.written
    capture.close()
    assert capture.finished
    assert capture.ring.written == written
    assert capture.failure is None


def test_closing_frees_what_the_blocks_hold() -> None:
    """`close` closes the generator in the feeder's thread."""
    freed: list[str] = []

    def holding() -> Blocks:
        try:
            yield from ramp(1000, 100)
        finally:
            freed.append(threading.current_thread().name)

    capture = feed(holding(), live=True)
    capture.close()
    assert freed == ["feeder test"]


def test_closing_abandons_a_hanging_read() -> None:
    """A read that does not return cannot block `close`."""
    answer = threading.Event()

    def hanging() -> Blocks:
        answer.wait(20)
        yield from ramp(1, 10)

    capture = feed(hanging(), live=True)
    begun = time.monotonic()
    capture.close()
    assert time.monotonic() - begun < 10
    assert not capture.finished
    answer.set()
    wait_for(lambda: capture.finished)
    assert capture.ring.written == 0
