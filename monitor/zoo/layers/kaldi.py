"""The power spectrum of Kaldi's filter banks, inside the graph.

Kaldi subtracts each frame's mean, then 0.97 times the previous sample from each sample, then applies the window. All of
that is linear: the differences are taken once for the whole waveform, after which 0.03 of a frame's mean remain to be
subtracted. A frame's first sample has no predecessor, but the symmetric window gives it no weight.
"""

import numpy as np
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its usual name

from monitor.zoo.layers.log_mel import Bins, Spectrum

EMPHASIS = 0.97
"""Share of the previous sample to subtract."""


class KaldiSpectrum(Spectrum):
    """Power of some bins in frames without their mean, high frequencies emphasised, under a symmetric Hann window."""

    def __init__(self, length: int, size: int, hop: int, bins: Bins) -> None:
        """`length`: samples a frame, even; `size`: points of the transform; `hop`: samples between frames' starts."""
        super().__init__(np.hanning(length), size, hop, bins)

    def halves(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """float32[batch, samples] to both halves of each frame, from the middle outwards: float32[batch, frames, n]."""
        first, second = super().halves(waveform - EMPHASIS * F.pad(waveform, (1, 0))[:, :-1])
        mean = F.avg_pool1d(waveform[:, None], self.frames.size, self.frames.hop).transpose(1, 2)
        return first - (1 - EMPHASIS) * mean, second - (1 - EMPHASIS) * mean
