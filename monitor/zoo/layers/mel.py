"""Mel filter banks that the published networks were trained with: float32[bins, bands], a column for each band."""

import numpy as np
from numpy.typing import NDArray

from monitor.classify.features import htk_hertz, htk_mel

Bank = NDArray[np.float32]
"""The weight of each bin of a spectrum of `size // 2 + 1` bins in each band."""


def slaney_bank(rate: int, size: int, bands: int, lowest: float, highest: float) -> Bank:
    """Triangles of equal area on the mel scale of Slaney's Auditory Toolbox, librosa's default; frequencies in Hz."""
    edges = _slaney_hertz(np.linspace(_slaney_mel(lowest), _slaney_mel(highest), bands + 2))
    area = 2 / (edges[2:] - edges[:-2])
    return (_triangles(_hertz(rate, size), edges) * area).astype(np.float32)


def htk_bank(rate: int, size: int, bands: int, lowest: float, highest: float) -> Bank:
    """Triangles of height one on HTK's mel scale, straight in Hz, torchaudio's default."""
    edges = htk_hertz(_htk_edges(bands, lowest, highest))
    return _triangles(_hertz(rate, size), edges).astype(np.float32)


def kaldi_bank(rate: int, size: int, bands: int, lowest: float, highest: float) -> Bank:
    """Triangles of height one on HTK's mel scale, straight in mel, without the Nyquist bin: Kaldi's fbank."""
    bank = _triangles(htk_mel(_hertz(rate, size)), _htk_edges(bands, lowest, highest))
    bank[-1] = 0
    return bank.astype(np.float32)


def used_bins(bank: Bank) -> NDArray[np.int64]:
    """Return the bins that have a weight in any band."""
    return np.flatnonzero(bank.any(axis=1))


def _hertz(rate: int, size: int) -> NDArray[np.float64]:
    """The frequency of each bin."""
    return np.linspace(0, rate / 2, size // 2 + 1)


def _triangles(points: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """The height at each point of a triangle over each three adjacent edges, float64[points, edges - 2]."""
    rising = (points[:, None] - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - points[:, None]) / np.diff(edges)[1:]
    return np.maximum(0, np.minimum(rising, falling))


def _htk_edges(bands: int, lowest: float, highest: float) -> NDArray[np.float64]:
    """Edges of the bands at equal distances in mel, float64[bands + 2]."""
    first, last = htk_mel(np.array([lowest, highest], np.float64))
    return np.linspace(first, last, bands + 2)


BREAK = 1000.0
"""Hertz: below it Slaney's scale is linear with 200 / 3 Hz a mel, above it logarithmic."""

STEP = float(np.log(6.4)) / 27
"""How much the logarithm of the frequency grows in a mel above the break."""


def _slaney_mel(hertz: float) -> float:
    linear = hertz * 3 / 200
    return linear if hertz < BREAK else BREAK * 3 / 200 + float(np.log(hertz / BREAK)) / STEP


def _slaney_hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    knee = BREAK * 3 / 200
    return np.where(mels < knee, mels * 200 / 3, BREAK * np.exp(STEP * (np.maximum(mels, knee) - knee)))
