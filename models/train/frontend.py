"""Waveform to log-mel, as matrix products that export to plain ONNX operators.

The features are YAMNet's: 16 kHz, 25 ms periodic Hann, 10 ms hop, 512-point spectrum, 64 HTK mel bands from 125 to
7,500 Hz on the magnitude, `log(mel + 0.001)`. One window of 15,600 samples gives 96 frames.
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
FRAME = 400
"""Samples a frame: 25 ms."""
HOP = 160
"""Samples from one frame to the next: 10 ms."""
FFT = 512
MELS = 64
MEL_LOW, MEL_HIGH = 125.0, 7_500.0
"""Hertz: the outer edges of the mel bank."""
LOG_OFFSET = 0.001
FRAMES = 1 + (WINDOW - FRAME) // HOP
"""Frames a window: 96."""


def hertz_to_mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """HTK mel scale."""
    return 1127.0 * np.log1p(hertz / 700.0)


def mel_bank() -> NDArray[np.float64]:
    """Triangular bank [257 bins, 64 mels], straight in mel, the zero-frequency bin silent."""
    bins = hertz_to_mel(np.linspace(0.0, SAMPLE_RATE / 2, FFT // 2 + 1))[:, None]
    low, high = hertz_to_mel(np.array([MEL_LOW, MEL_HIGH]))
    edges = np.linspace(low, high, MELS + 2)
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    bank = np.maximum(0.0, np.minimum(rising, falling))
    bank[0] = 0.0
    return np.asarray(bank)


def folded_basis(bins: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Windowed cosine [200, bins] and sine [199, bins] bases about the frame's middle sample.

    With the phase measured from the middle, the cosine basis is even and the sine basis odd, so a frame can be folded
    in two first: half the multiply-adds, the same magnitude. The periodic Hann is zero at sample 0, which leaves
    199 pairs around sample 200.
    """
    distance = np.arange(FRAME // 2)[:, None]
    hann = 0.5 + 0.5 * np.cos(2.0 * np.pi * distance / FRAME)
    angle = 2.0 * np.pi * distance * bins / FFT
    return hann * np.cos(angle), (hann * np.sin(angle))[1:]


class LogMel(nn.Module):
    """float32 [batch, 15600] in [-1, 1] to float32 log-mel [batch, 96, 64]."""

    cosine: Tensor
    sine: Tensor
    mel: Tensor

    def __init__(self) -> None:
        super().__init__()
        bank = mel_bank()
        used = np.flatnonzero(bank.any(axis=1))
        cosine, sine = folded_basis(used)
        self.register_buffer("cosine", torch.from_numpy(cosine).float(), persistent=False)
        self.register_buffer("sine", torch.from_numpy(sine).float(), persistent=False)
        self.register_buffer("mel", torch.from_numpy(bank[used]).float(), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        frames = split_frames(waveform)
        middle = FRAME // 2
        after = frames[:, :, middle + 1 :]
        before = torch.flip(frames[:, :, 1:middle], dims=(2,))
        even = torch.cat((frames[:, :, middle : middle + 1], after + before), dim=2)
        real = even @ self.cosine
        imaginary = (after - before) @ self.sine
        magnitude = torch.sqrt(real * real + imaginary * imaginary)
        return torch.log(magnitude @ self.mel + LOG_OFFSET)


def split_frames(waveform: Tensor) -> Tensor:
    """Overlapping frames [batch, 96, 400] of a waveform [batch, 15600], by slices on the hop grid alone.

    A frame is two and a half hops: two shifted views of the hop grid and the half hop that follows. No gather and
    no strided window operator, so that every runtime takes it and no index tensor is built.
    """
    whole = FRAMES * HOP
    first = waveform[:, :whole].reshape(-1, FRAMES, HOP)
    second = waveform[:, HOP : HOP + whole].reshape(-1, FRAMES, HOP)
    half_hops = waveform.reshape(-1, WINDOW * 2 // HOP, HOP // 2)
    return torch.cat((first, second, half_hops[:, 4::2]), dim=2)
