"""Finding the start of a sound in a window."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.detect.onset import find_onset
from monitor.messages import Samples

RATE = 16000


def room(level: float = 0.001, seconds: float = 0.975, seed: int = 1) -> Samples:
    """Noise at this level."""
    return (level * np.random.default_rng(seed).standard_normal(int(RATE * seconds))).astype(np.float32)


@given(at=st.floats(0.08, 0.95), decay=st.sampled_from([0.02, 0.1, 1.0]), seed=st.integers(0, 9))
def test_finds_a_sharp_sound_within_20_ms(at: float, decay: float, seed: int) -> None:
    """A burst well above the noise is found at any position and with any decay."""
    audio = room(seed=seed)
    begin = int(at * RATE)
    t = np.arange(len(audio) - begin) / RATE
    audio[begin:] += (0.3 * np.exp(-t / decay) * np.sin(2 * np.pi * 1500 * t)).astype(np.float32)
    found = find_onset(audio, RATE)
    assert found is not None
    assert found / RATE == pytest.approx(at, abs=0.02)


def test_the_first_of_several_beeps_is_found() -> None:
    """A series of louder and louder beeps starts with the first."""
    audio = room()
    for at, strength in ((0.3, 0.2), (0.5, 0.3), (0.7, 0.4)):
        begin = int(at * RATE)
        audio[begin : begin + 1600] += strength * np.sin(np.arange(1600) * 1.2).astype(np.float32)
    found = find_onset(audio, RATE)
    assert found is not None
    assert found / RATE == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize("audio", [room(), room() * 100, np.zeros(15600, np.float32), room(seconds=0.02)])
def test_a_steady_level_has_no_onset(audio: Samples) -> None:
    """Steady noise, loud or quiet, digital silence and a too short window have no onset."""
    assert find_onset(audio, RATE) is None
