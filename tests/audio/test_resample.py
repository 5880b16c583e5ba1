"""Resampling and mixing, in blocks of any size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.audio.resample import Resampler
from monitor.messages import Samples


def tone(frequency: float, rate: int, seconds: float) -> Samples:
    """Return a sine of one channel at half of full scale."""
    t = np.arange(int(rate * seconds)) / rate
    return (0.5 * np.sin(2 * np.pi * frequency * t)).astype(np.float32)[:, None]


@settings(max_examples=20, deadline=None)
@given(rate=st.sampled_from([8000, 16000, 44100, 48000]), cuts=st.lists(st.integers(0, 8000), max_size=6))
def test_blocks_have_no_seams(rate: int, cuts: list[int]) -> None:
    """The output has the same samples and the right length however the stream is cut."""
    audio = tone(440, rate, 1.0)
    whole = Resampler(rate, 16000).push(audio, last=True)
    resampler, parts, at = Resampler(rate, 16000), [], 0
    for cut in sorted(cuts):
        parts.append(resampler.push(audio[at:cut]))
        at = max(at, cut)
    parts.append(resampler.push(audio[at:], last=True))
    assert np.allclose(np.concatenate(parts), whole, atol=1e-5)
    assert abs(len(whole) - 16000) <= 1


def test_filters_frequencies_above_the_lower_rate() -> None:
    """A 12 kHz tone disappears from 48 to 16 kHz; a 1 kHz tone keeps its level."""
    high = Resampler(48000, 16000).push(tone(12000, 48000, 1.0), last=True)
    low = Resampler(48000, 16000).push(tone(1000, 48000, 1.0), last=True)
    assert np.sqrt(np.mean(high[800:-800] ** 2)) < 1e-3
    assert np.sqrt(np.mean(low[800:-800] ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.01)


def test_mixes_down_to_the_mean() -> None:
    """Opposite channels cancel; one channel alone gives half of its level."""
    left = np.full((100, 1), 0.5, np.float32)
    assert not Resampler(16000, 16000).push(np.hstack((left, -left))).any()
    assert np.allclose(Resampler(16000, 16000).push(np.hstack((left, 0 * left))), 0.25)


def test_replaces_nan_and_infinity() -> None:
    """NaN and infinity from a broken file neither spread nor exceed full scale."""
    audio = tone(440, 48000, 0.5)
    audio[5000] = np.nan
    audio[6000] = np.inf
    out = Resampler(48000, 16000).push(audio, last=True)
    assert np.isfinite(out).all()
    assert np.abs(out).max() <= 1.0
