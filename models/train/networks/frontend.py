"""Waveform to log-mel, as matrix products that export to plain ONNX operators.

16 kHz, 30 ms periodic Hann, 15 ms hop, 64 HTK mel bands from 60 to 7,800 Hz on the power, `log(mel + 1e-6)`; above
1,500 Hz on every second bin, which costs two fifths less and tells wide bands apart as well. One window of 15,600
samples, 65 hops, gives 64 frames without padding: a square map that halves evenly.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

SAMPLE_RATE = 16_000
"""Hertz"""
WINDOW = 15_600
"""Samples a window: 0.975 s."""
HOP = 240
"""Samples from one frame to the next: 15 ms. A frame is two hops long."""
FRAME = 2 * HOP
QUARTER = FRAME // 4
MELS = 64
MEL_LOW, MEL_HIGH = 60.0, 7_800.0
"""Hertz: the outer edges of the mel bank."""
EVERY_BIN = 1_500.0
"""Hertz up to which the mel bank reads every bin of the transform; above it mels are wide, and every second does."""
LOG_OFFSET = 1e-6
FRAMES = WINDOW // HOP - 1
"""Frames a window: 64."""


def hertz_to_mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """HTK mel scale."""
    return 1127.0 * np.log1p(hertz / 700.0)


def mel_bank() -> NDArray[np.float64]:
    """Triangular bank [241 bins, 64 mels], straight in mel, the zero-frequency bin silent.

    Where only every second bin is read, it counts twice.
    """
    hertz = np.linspace(0.0, SAMPLE_RATE / 2, FRAME // 2 + 1)
    bins = hertz_to_mel(hertz)[:, None]
    low, high = hertz_to_mel(np.array([MEL_LOW, MEL_HIGH]))
    edges = np.linspace(low, high, MELS + 2)
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    bank = np.maximum(0.0, np.minimum(rising, falling))
    bank[0] = 0.0
    sparse = hertz > EVERY_BIN
    bank[sparse] *= 2.0
    bank[sparse & (np.arange(len(hertz)) % 2 == 1)] = 0.0
    return np.asarray(bank)


class LogMel(nn.Module):
    """float32 [batch, 15600] in [-1, 1] to float32 log-mel [batch, 64 frames, 64 mels].

    With the phase measured from a frame's middle, between its two hops, the spectrum is cosines of what is even about
    it and sines of what is odd; and about the middle of a hop each of them is even or odd once more, by the parity of
    the bin. So four samples, `n + 1/2` and `240 - n - 1/2` to either side, are folded into one before each product: a
    quarter of the multiply-adds of the plain transform, the same power. A hop's later half is reversed once for both of
    the frames that it is in, and the rising and falling half of a Hann window, 1/2 - c and 1/2 + c, share a product.
    """

    def __init__(self) -> None:
        super().__init__()
        bank = mel_bank()
        used = np.flatnonzero(bank.any(axis=1))
        even, odd = used[used % 2 == 0], used[used % 2 == 1]
        turn = 2.0 * np.pi / FRAME
        self.early_hann = _constant(np.cos(turn * np.arange(QUARTER)))
        self.late_hann = _constant(np.cos(turn * np.arange(1, QUARTER + 1)))
        angle = turn * (np.arange(QUARTER)[:, None] + 0.5)
        self.cosine_even, self.cosine_odd = _constant(0.5 * np.cos(angle * even)), _constant(0.5 * np.cos(angle * odd))
        self.sine_even, self.sine_odd = _constant(0.5 * np.sin(angle * even)), _constant(0.5 * np.sin(angle * odd))
        self.mel_even, self.mel_odd = _constant(bank[even]), _constant(bank[odd])

    def forward(self, waveform: Tensor) -> Tensor:
        hops = waveform.reshape(-1, FRAMES + 1, HOP)
        early, late = hops[:, :, :QUARTER], hops[:, :, QUARTER:].flip(2)
        early_part, late_part = early * self.early_hann, late * self.late_hann
        near_after, far_after = (early + early_part)[:, 1:], (late - late_part)[:, 1:]
        near_before, far_before = (late + late_part)[:, :-1], (early - early_part)[:, :-1]
        near_even, near_odd = near_after + near_before, near_after - near_before
        far_even, far_odd = far_after + far_before, far_after - far_before
        real_even = (near_even + far_even) @ self.cosine_even
        real_odd = (near_even - far_even) @ self.cosine_odd
        imaginary_even = (near_odd - far_odd) @ self.sine_even
        imaginary_odd = (near_odd + far_odd) @ self.sine_odd
        power_even = real_even * real_even + imaginary_even * imaginary_even
        power_odd = real_odd * real_odd + imaginary_odd * imaginary_odd
        return torch.log(power_even @ self.mel_even + power_odd @ self.mel_odd + LOG_OFFSET)


def _constant(values: NDArray[np.float64]) -> nn.Buffer:
    return nn.Buffer(torch.from_numpy(np.ascontiguousarray(values)).float(), persistent=False)
