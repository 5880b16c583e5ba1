"""Mel filter banks, by their definitions."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from monitor.zoo.layers.mel import Bank, htk_bank, kaldi_bank, slaney_bank, used_bins

RATE, SIZE = 32_000, 1024


def slaney_hertz(mel: float) -> float:
    """The scale as its author defines it: linear up to 1 kHz at 15 mel, then 27 mel for a factor of 6.4."""
    return mel * 200 / 3 if mel < 15 else 1000 * math.exp((mel - 15) * math.log(6.4) / 27)


def centres(bank: Bank) -> list[float]:
    """The frequency in hertz of each band's largest weight."""
    return [float(peak) * RATE / SIZE for peak in bank.argmax(axis=0)]


def test_slaney_bands_are_spread_over_their_scale() -> None:
    """From 50 Hz (0.75 mel) to 14 kHz, each band peaks at the bin next to an equal step of the scale."""
    bank = slaney_bank(RATE, SIZE, 64, 50, 14_000)
    top = 15 + 27 * math.log(14) / math.log(6.4)
    expected = [slaney_hertz(0.75 + (top - 0.75) * step / 65) for step in range(1, 65)]
    assert centres(bank) == pytest.approx(expected, abs=RATE / SIZE)


def test_slaney_bands_have_one_area() -> None:
    """White noise has the same power in each band that is wide enough to hold many bins."""
    bank = slaney_bank(RATE, SIZE, 64, 50, 14_000)
    assert bank.sum(axis=0)[40:] * RATE / SIZE == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("make", [htk_bank, kaldi_bank])
def test_neighbouring_htk_bands_share_a_bin(make: Callable[[int, int, int, float, float], Bank]) -> None:
    """Between the first and the last centre the weights of a bin add up to one."""
    bank = make(16_000, 512, 40, 20, 8000)
    inner = bank[bank[:, 0].argmax() + 1 : bank[:, -1].argmax()]
    assert inner.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_kaldi_slopes_are_straight_in_mel_and_torchaudio_slopes_in_hertz() -> None:
    """Halfway up a wide slope the weight is a half: in mel for Kaldi, in hertz for torchaudio."""
    mels = np.linspace(0, 1127 * math.log1p(8000 / 700), 4)
    edges = 700 * np.expm1(mels / 1127)
    halfway_mel = 700 * math.expm1((mels[1] + mels[2]) / 2 / 1127)
    halfway_hertz = (edges[1] + edges[2]) / 2
    size = 1 << 16
    kaldi, htk = kaldi_bank(16_000, size, 2, 0, 8000), htk_bank(16_000, size, 2, 0, 8000)
    assert kaldi[round(halfway_mel * size / 16_000), 1] == pytest.approx(0.5, abs=1e-3)
    assert htk[round(halfway_hertz * size / 16_000), 1] == pytest.approx(0.5, abs=1e-3)


def test_only_bins_with_a_weight_are_used() -> None:
    """Of 513 bins only those between 50 and 14,000 Hz are used, without the edges."""
    assert used_bins(slaney_bank(RATE, SIZE, 64, 50, 14_000)).tolist() == list(range(2, 448))
