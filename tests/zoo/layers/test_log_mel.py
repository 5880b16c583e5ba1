"""The log-mel in the graph, compared with the textbook computation in double precision."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from monitor.zoo.layers.log_mel import DECIBELS, LogMel, Spectrum, decibel_mel
from monitor.zoo.layers.mel import Bank, slaney_bank, used_bins


def hann(length: int, *, periodic: bool) -> NDArray[np.float64]:
    """The window; its last value equals its first if it is not periodic."""
    return np.hanning(length + periodic)[:length]


def textbook(
    waveform: NDArray[np.float32], window: NDArray[np.float64], size: int, hop: int, bank: Bank, *, centred: bool
) -> NDArray[np.float64]:
    """Decibels of mel powers frame by frame with the fast Fourier transform: float64[batch, frames, bands]."""
    samples = waveform.astype(np.float64)
    if centred:
        samples = np.pad(samples, ((0, 0), (size // 2, size // 2)), mode="reflect")
    starts = range(0, samples.shape[1] - len(window) + 1, hop)
    frames = np.stack([samples[:, start : start + len(window)] for start in starts], axis=1)
    power = np.abs(np.fft.rfft(frames * window, size)) ** 2
    decibels: NDArray[np.float64] = 10 * np.log10(np.maximum(power @ bank.astype(np.float64), 1e-10))
    return decibels


def noise(samples: int) -> NDArray[np.float32]:
    """Loud, faint and no noise: float32[3, samples]."""
    loudness = np.array([[0.5], [1e-4], [0]])
    return (loudness * np.random.default_rng(samples).standard_normal((3, samples))).astype(np.float32)


@pytest.mark.parametrize("samples", [513, 1000, 9920, 9921, 10239, 32_000])
@pytest.mark.parametrize(("rate", "hop", "bands"), [(32_000, 320, 64), (32_000, 320, 224), (48_000, 480, 64)])
def test_decibels_are_the_textbooks_at_any_length(rate: int, hop: int, bands: int, samples: int) -> None:
    """Frames are centred and mirrored at the ends; there is one more than there are whole hops."""
    waveform = noise(samples)
    answer = decibel_mel(rate, hop, bands)(torch.from_numpy(waveform)).numpy()
    bank = slaney_bank(rate, 1024, bands, 50, 14_000)
    expected = textbook(waveform, hann(1024, periodic=True), 1024, hop, bank, centred=True)
    assert answer.shape == (3, samples // hop + 1, bands)
    assert answer == pytest.approx(expected, abs=0.01)  # where a band holds next to nothing only rounding is left
    assert np.sqrt(np.mean((answer - expected) ** 2)) < 1e-4


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize(("length", "size", "hop"), [(400, 512, 160), (512, 512, 160), (1024, 1024, 320), (64, 64, 64)])
def test_a_window_shorter_than_the_transform_folds_once(length: int, size: int, hop: int, periodic: bool) -> None:
    """Frames need not be centred, and the window may be periodic or symmetric."""
    waveform, window = noise(5000), hann(length, periodic=periodic)
    bank = slaney_bank(16_000, size, 12, 100, 7000)
    spectrum = Spectrum(window, size, hop, used_bins(bank))
    answer = LogMel(spectrum, bank, floor=1e-10, scale=DECIBELS, pad=0)(torch.from_numpy(waveform)).numpy()
    assert answer == pytest.approx(textbook(waveform, window, size, hop, bank, centred=False), abs=1e-3)


def test_silence_is_the_floor() -> None:
    """Silence gives -100 dB, not minus infinity."""
    assert decibel_mel(32_000, 320, 64)(torch.zeros(1, 3200)).numpy() == pytest.approx(-100, abs=1e-4)


def test_the_front_end_is_not_part_of_the_published_state() -> None:
    """A strict loader finds the official keys and nothing else."""
    assert decibel_mel(32_000, 320, 64).state_dict() == {}
