"""Level in dBFS, and a signal that is stuck at one value."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.audio.level import StuckDetector, dbfs
from monitor.messages import SILENCE_DBFS


def test_level_is_in_dbfs_with_a_floor() -> None:
    """Full scale is 0 dBFS, half of it -6, silence and an empty block -120."""
    assert dbfs(np.ones(100, np.float32)) == pytest.approx(0.0)
    assert dbfs(np.full(100, 0.5, np.float32)) == pytest.approx(-6.02, abs=0.01)
    assert dbfs(np.zeros(100, np.float32)) == SILENCE_DBFS
    assert dbfs(np.zeros(0, np.float32)) == SILENCE_DBFS


@given(values=st.lists(st.sampled_from([0.0, 0.1, 0.2]), max_size=60), cuts=st.lists(st.integers(0, 60), max_size=5))
def test_stuck_time_is_the_length_of_the_constant_tail(values: list[float], cuts: list[int]) -> None:
    """The detector counts how long the last value has been repeated, however the stream is cut."""
    samples = np.array(values, np.float32)
    detector = StuckDetector(rate=10)
    for piece in np.split(samples, sorted(min(cut, len(samples)) for cut in cuts)):
        detector.push(piece)
    repeated = next((n for n, value in enumerate(reversed(values)) if value != values[-1]), len(values))
    assert detector.seconds == pytest.approx(repeated / 10)
