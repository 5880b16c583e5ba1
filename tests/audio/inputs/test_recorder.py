"""The writer of a ring in shared memory, which the recorder runs without NumPy."""

import mmap
import os

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.audio.inputs.recorder import HEADER, RingWriter
from monitor.audio.ring import SampleRing
from tests.audio.test_ring import ramp


@given(capacity=st.integers(1, 64), channels=st.integers(1, 3), blocks=st.lists(st.integers(0, 64), max_size=30))
def test_a_ring_reads_what_another_process_writes(capacity: int, channels: int, blocks: list[int]) -> None:
    """Through two maps of one file, the reader gets the newest frames, and the count of lost audio."""
    file = os.memfd_create("ring")
    os.ftruncate(file, HEADER + 4 * capacity * channels)
    writer = RingWriter(mmap.mmap(file, 0), 4 * channels)
    ring = SampleRing(capacity, channels, mmap.mmap(file, 0))
    os.close(file)
    for number, block in enumerate(blocks):
        writer.write(ramp(ring.written, min(block, capacity), channels).tobytes(), overflowed=number % 2 == 1)
    start = max(0, ring.written - capacity)
    assert ring.written == sum(min(block, capacity) for block in blocks)
    assert ring.overflows == len(blocks) // 2
    assert np.array_equal(ring.read(start, ring.written - start), ramp(start, ring.written - start, channels))
