"""The power spectrum of Kaldi's filter banks, inside the graph.

Kaldi takes each frame's mean off it, then 0.97 times the sample before off each sample, then applies the window. All
of that is linear: the differences are taken once for the whole waveform, and of a frame's mean they leave 0.03 to take
off. A frame's first sample has no other before it, but the symmetric window gives it no weight.
"""

import numpy as np
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its usual name

from monitor.zoo.layers.log_mel import Bins, Spectrum

EMPHASIS = 0.97
"""Share of the sample before that is taken off."""


class KaldiSpectrum(Spectrum):
    """Power of some bins in frames without their mean, high frequencies emphasised, under a symmetric Hann window."""

    def __init__(self, length: int, size: int, hop: int, bins: Bins) -> None:
        """`length`: samples a frame, even; `size`: points of the transform; `hop`: samples between frames' starts."""
        super().__init__(np.hanning(length), size, hop, bins)

    def halves(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """float32[batch, samples] to both halves of each frame, from its middle outwards: float32[batch, frames, n]."""
        first, second = super().halves(waveform - EMPHASIS * F.pad(waveform, (1, 0))[:, :-1])
        mean = F.avg_pool1d(waveform[:, None], self.frames.size, self.frames.hop).transpose(1, 2)
        return first - (1 - EMPHASIS) * mean, second - (1 - EMPHASIS) * mean
