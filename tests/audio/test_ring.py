"""The sample ring returns what was written, or raises."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.audio.ring import Overrun, SampleRing
from monitor.messages import Samples


def ramp(start: int, count: int, channels: int = 1) -> Samples:
    """Return frames whose value is their index."""
    return np.repeat(np.arange(start, start + count, dtype=np.float32)[:, None], channels, axis=1)


@given(
    capacity=st.integers(1, 64),
    channels=st.integers(1, 3),
    blocks=st.lists(st.integers(0, 64), max_size=30),
    data=st.data(),
)
def test_holds_exactly_the_newest_frames(capacity: int, channels: int, blocks: list[int], data: st.DataObject) -> None:
    """A range within the newest `capacity` frames equals what was written; any other raises `Overrun`."""
    ring = SampleRing(capacity, channels)
    for block in blocks:
        ring.write(ramp(ring.written, min(block, capacity), channels))
    start = data.draw(st.integers(0, ring.written))
    count = data.draw(st.integers(0, ring.written - start))
    if start < ring.written - capacity:
        with pytest.raises(Overrun):
            ring.read(start, count)
    else:
        assert np.array_equal(ring.read(start, count), ramp(start, count, channels))


def test_rejects_frames_that_are_not_written_yet() -> None:
    """A read ahead of the writer raises an error instead of returning silence."""
    ring = SampleRing(8)
    ring.write(ramp(0, 4))
    with pytest.raises(ValueError, match="not written yet"):
        ring.read(2, 3)


def test_rejects_a_block_larger_than_the_ring() -> None:
    """A block that does not fit completely raises an error."""
    with pytest.raises(ValueError, match="does not fit"):
        SampleRing(4).write(ramp(0, 5))


def test_no_torn_read_under_a_racing_writer() -> None:
    """Beside a writer at full speed a reader gets whole ranges or an overrun, never a mixture."""
    ring = SampleRing(4096)
    block, stop = 128, threading.Event()

    def write() -> None:
        at = 0
        while not stop.is_set() and at < 2**24:  # float32 counts exactly up to here
            ring.write(ramp(at, block))
            at += block

    writer = threading.Thread(target=write)
    writer.start()
    whole = overruns = 0
    try:
        while whole < 2000 and writer.is_alive():
            start = max(0, ring.written - ring.capacity // 2)
            count = ring.written - start
            try:
                got = ring.read(start, count)
            except Overrun:
                overruns += 1
            else:
                assert np.array_equal(got, ramp(start, count))
                whole += 1
    finally:
        stop.set()
        writer.join()
    assert whole > 100


def test_frames_count_as_overwritten_during_a_write() -> None:
    """A read between the writer's copy and its count raises `Overrun` for the frames being replaced."""
    ring = SampleRing(8)
    ring.write(ramp(0, 8))

    class Caught(Exception):  # noqa: N818
        pass

    class Spy(np.ndarray):
        def __setitem__(self, key: object, value: object) -> None:
            with pytest.raises(Overrun):
                ring.read(0, 8)
            raise Caught

    ring._frames = ring._frames.view(Spy)
    with pytest.raises(Caught):
        ring.write(ramp(8, 4))
