"""Log-mel front ends inside the graph, made of matrix products, for which every runtime has fast kernels.

Frames are joined from slices of the waveform laid out on the hop grid, without an index for each sample. With the phase
counted from a frame's middle, the cosines are even and the sines odd about it: the frame's halves are added and
subtracted first, and the product needs half as many terms. If the window is as long as the transform, the halves fold
again about their own middles, one way for even bins and the other for odd ones. Bins that no band uses are left out.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from monitor.zoo.layers.mel import Bank, slaney_bank, used_bins

_Window = NDArray[np.float64]
Bins = NDArray[np.int64]

DECIBELS = 10 / math.log(10)
"""Factor from the natural logarithm of a power to decibels."""

EMPHASIS = 0.97
"""Share of the previous sample that Kaldi subtracts."""


class Frames:
    """Cuts pieces of all frames of a waveform at once."""

    def __init__(self, size: int, hop: int) -> None:
        """`size`: samples a frame; `hop`: samples from one frame's start to the next's."""
        self.size, self.hop = size, hop
        self.reach = size // hop + 1
        """Blocks of the hop grid that contain a frame and the sample after it."""

    def grid(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """float32[batch, samples] to float32[batch, blocks, hop], and the same with each block reversed."""
        frames = (waveform.shape[1] - self.size) // self.hop + 1
        blocks = frames + self.reach - 1
        filled = F.pad(waveform, (0, self.reach * self.hop - self.size))[:, : blocks * self.hop]
        grid = filled.reshape(waveform.shape[0], blocks, self.hop)
        return grid, grid.flip(2)

    def ahead(self, grid: Tensor, start: int, count: int) -> Tensor:
        """Samples start, start + 1, ... of every frame: float32[batch, frames, count]."""
        pieces = []
        while count:
            block, offset = divmod(start, self.hop)
            taken = min(count, self.hop - offset)
            pieces.append(self._column(grid, block)[:, :, offset : offset + taken])
            start, count = start + taken, count - taken
        return torch.cat(pieces, dim=2)

    def back(self, turned: Tensor, start: int, count: int) -> Tensor:
        """Samples start, start - 1, ... of every frame: float32[batch, frames, count]."""
        pieces = []
        while count:
            block, offset = divmod(start, self.hop)
            taken = min(count, offset + 1)
            first = self.hop - 1 - offset
            pieces.append(self._column(turned, block)[:, :, first : first + taken])
            start, count = start - taken, count - taken
        return torch.cat(pieces, dim=2)

    def _column(self, grid: Tensor, block: int) -> Tensor:
        """The block of each frame that comes `block` blocks after its first one."""
        return grid[:, block : block + grid.shape[1] - self.reach + 1]


class Spectrum(nn.Module):
    """Power of some bins in frames under a symmetric window, folded once."""

    cosines: Tensor
    sines: Tensor

    def __init__(self, window: _Window, size: int, hop: int, bins: Bins) -> None:
        """`window`: of even length, periodic (only its first value is zero) or symmetric; `size`: of the transform."""
        super().__init__()
        self.frames = Frames(len(window), hop)
        self.middle = len(window) // 2
        periodic = not math.isclose(window[0], window[-1], abs_tol=1e-9)
        self.last = self.middle if periodic else self.middle - 1  # a periodic window's first sample has no weight
        weight = window[self.middle :].copy()
        if periodic:
            weight[0] /= 2  # the middle sample meets itself
        angle = 2 * np.pi / size * np.outer(np.arange(self.middle) + (0 if periodic else 0.5), bins)
        self.bins = (bins,)
        _constants(self, cosines=weight[:, None] * np.cos(angle), sines=weight[:, None] * np.sin(angle))

    def forward(self, waveform: Tensor) -> tuple[Tensor, ...]:
        """float32[batch, samples] to the power of `bins`: one float32[batch, frames, bins] for each part of them."""
        first, second = self.halves(waveform)
        return (_power((second + first) @ self.cosines, (second - first) @ self.sines),)

    def halves(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """float32[batch, samples] to both halves of each frame, from the middle outwards: float32[batch, frames, n]."""
        grid, turned = self.frames.grid(waveform)
        return self.frames.back(turned, self.last, self.middle), self.frames.ahead(grid, self.middle, self.middle)


class KaldiSpectrum(Spectrum):
    """Power of some bins in frames without their mean, high frequencies emphasised, under a symmetric Hann window.

    Kaldi subtracts each frame's mean, then 0.97 times the previous sample from each sample, then applies the window.
    All of that is linear: the differences are taken once for the whole waveform, after which 0.03 of a frame's mean
    remain to be subtracted. A frame's first sample has no predecessor, but the symmetric window gives it no weight.
    """

    def __init__(self, length: int, size: int, hop: int, bins: Bins) -> None:
        """`length`: samples a frame, even; `size`: points of the transform; `hop`: samples between frames' starts."""
        super().__init__(np.hanning(length), size, hop, bins)

    def halves(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """float32[batch, samples] to both halves of each frame, from the middle outwards: float32[batch, frames, n]."""
        first, second = super().halves(waveform - EMPHASIS * F.pad(waveform, (1, 0))[:, :-1])
        mean = F.avg_pool1d(waveform[:, None], self.frames.size, self.frames.hop).transpose(1, 2)
        return first - (1 - EMPHASIS) * mean, second - (1 - EMPHASIS) * mean


class HannSpectrum(nn.Module):
    """Power of some bins in frames under a periodic Hann window as long as the transform, folded twice."""

    ratio: Tensor
    even_cosines: Tensor
    even_sines: Tensor
    odd_cosines: Tensor
    odd_sines: Tensor

    def __init__(self, size: int, hop: int, bins: Bins) -> None:
        """`size`: samples of the window, a multiple of four."""
        super().__init__()
        self.frames = Frames(size, hop)
        self.middle, self.count = size // 2, size // 4 + 1
        distance = np.arange(self.count)
        near = np.cos(np.pi * distance / size) ** 2  # the window so far from its middle
        far = np.sin(np.pi * distance / size) ** 2  # the window so far from its ends
        weight = near.copy()
        weight[[0, -1]] /= 2  # these samples meet themselves
        even, odd = bins[bins % 2 == 0], bins[bins % 2 == 1]
        self.bins = (even, odd)
        angle = 2 * np.pi / size * distance[:, None]
        _constants(
            self,
            ratio=far / near,
            even_cosines=weight[:, None] * np.cos(angle * even),
            even_sines=weight[:, None] * np.sin(angle * even),
            odd_cosines=weight[:, None] * np.cos(angle * odd),
            odd_sines=weight[:, None] * np.sin(angle * odd),
        )

    def forward(self, waveform: Tensor) -> tuple[Tensor, ...]:
        """float32[batch, samples] to the power of `bins`: one float32[batch, frames, bins] for each part of them."""
        grid, turned = self.frames.grid(waveform)
        after, before = (
            self.frames.ahead(grid, self.middle, self.count),
            self.frames.back(turned, self.middle, self.count),
        )
        start, end = self.frames.ahead(grid, 0, self.count), self.frames.back(turned, 2 * self.middle, self.count)
        sums, differences = after + before, after - before
        far_sums, far_differences = self.ratio * (end + start), self.ratio * (end - start)
        return (
            _power((sums + far_sums) @ self.even_cosines, (differences - far_differences) @ self.even_sines),
            _power((sums - far_sums) @ self.odd_cosines, (differences + far_differences) @ self.odd_sines),
        )


class LogMel(nn.Module):
    """The logarithm of the power in mel bands, times `scale` plus `shift`, into which affine layers after it fold."""

    scale: Tensor
    shift: Tensor

    def __init__(self, spectrum: Spectrum | HannSpectrum, bank: Bank, *, floor: float, scale: float, pad: int) -> None:
        """`spectrum`: of the bins `used_bins(bank)`; `floor`: the least power; `scale`: of the natural logarithm.

        `pad`: samples to mirror on both sides; half a window centres the frames on the hop grid.
        """
        super().__init__()
        self.spectrum, self.floor, self.pad = spectrum, floor, pad
        for part, bins in enumerate(spectrum.bins):
            _constants(self, **{f"bank{part}": bank[bins]})
        _constants(self, scale=np.full(bank.shape[1], scale), shift=np.zeros(bank.shape[1]))

    def forward(self, waveform: Tensor) -> Tensor:
        """float32[batch, samples] to float32[batch, frames, bands]."""
        if self.pad:
            waveform = F.pad(waveform, (self.pad, self.pad), mode="reflect")
        powers: tuple[Tensor, ...] = self.spectrum(waveform)
        bands = [power @ self.get_buffer(f"bank{part}") for part, power in enumerate(powers)]
        mel = bands[0] if len(bands) == 1 else bands[0] + bands[1]
        return mel.clamp(min=self.floor).log() * self.scale + self.shift


def decibel_mel(rate: int, hop: int, bands: int, *, lowest: float = 50, highest: float = 14_000) -> LogMel:
    """The front end of PANNs and its descendants, as torchlibrosa computes it, in decibels with a floor of -100.

    A periodic Hann window of 1024 samples, centred and mirrored at the ends; Slaney's mel bands. Source of the
    conventions: Kong et al., PANNs, 2020.
    """
    size = 1024
    bank = slaney_bank(rate, size, bands, lowest, highest)
    return LogMel(HannSpectrum(size, hop, used_bins(bank)), bank, floor=1e-10, scale=DECIBELS, pad=size // 2)


def _power(real: Tensor, imaginary: Tensor) -> Tensor:
    return real * real + imaginary * imaginary


def _constants(module: nn.Module, **values: NDArray[np.floating]) -> None:
    """Give `module` tensors that are not part of its published state."""
    for name, value in values.items():
        module.register_buffer(name, torch.from_numpy(value.astype(np.float32)), persistent=False)
