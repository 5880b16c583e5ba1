"""Log-mel front ends in NumPy for models without one: from waveforms to frames of features.

The settings follow the tools that the published files were made for: kaldi-native-fbank as configured by sherpa-onnx
and icefall, and torchaudio's MelSpectrogram with AmplitudeToDB as in CED's training.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from monitor.messages import Samples

Places = NDArray[np.float64]

EPSILON = float(np.finfo(np.float32).eps)
"""Kaldi's lower bound before the logarithm."""


def _natural_log(mels: Samples) -> Samples:
    """Return natural logarithms with Kaldi's lower bound."""
    return np.log(np.maximum(mels, EPSILON))


def _decibels(mels: Samples) -> Samples:
    """Return decibels, at least -100 dB and at least the maximum of the row minus 120 dB."""
    levels = 10.0 * np.log10(np.maximum(mels, np.float32(1e-10)))
    floor: Samples = levels.max(axis=(1, 2), keepdims=True) - 120.0
    return np.maximum(levels, floor)


def htk_mel(hertz: Places) -> Places:
    """Convert hertz to mel on HTK's scale."""
    return 1127.0 * np.log1p(hertz / 700.0)


def htk_hertz(mels: Places) -> Places:
    """Convert mel on HTK's scale to hertz."""
    return 700.0 * np.expm1(mels / 1127.0)


@dataclass(frozen=True)
class FrontEnd:
    """The settings of one front end; call it to compute features."""

    rate: int
    """Hertz."""
    length: int
    """Samples per frame."""
    mels: int
    low: float
    """Lower edge of the lowest band, hertz."""
    high: float
    """Upper edge of the highest band, hertz."""
    window: Callable[[Places], Places]
    """Weight of a sample by its position in the frame, 0 to 1."""
    periodic: bool
    """Position 1 is one past the last sample instead of the last sample."""
    log: Callable[[Samples], Samples]
    centred: bool
    """Frames are centred on the hop grid, as in torchaudio; else half a hop later, as in Kaldi. The edges are padded by
    reflection, without or with the outermost sample respectively."""
    corners: Literal["hertz", "mel"]
    """The scale on which the bands are triangles."""
    preemphasis: float = 0.0
    remove_mean: bool = False
    """Subtract the mean of each frame."""
    hop: int = field(default=160)
    """Samples."""

    def frames(self, samples: int) -> int:
        """Return the number of frames for this many samples."""
        return samples // self.hop + 1 if self.centred else (samples + self.hop // 2) // self.hop

    def __call__(self, waveforms: Samples) -> Samples:
        """Return float32[batch, frames, mels] for float32[batch, samples] in [-1, 1]."""
        frames = self._cut(waveforms)
        if self.remove_mean:
            frames = frames - frames.mean(axis=-1, keepdims=True)
        if self.preemphasis:
            before = np.concatenate((frames[..., :1], frames[..., :-1]), axis=-1)
            frames = frames - np.float32(self.preemphasis) * before
        spectrum = np.fft.rfft(frames * self._weights, self._points)
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        return self.log(power.astype(np.float32) @ self._bank).astype(np.float32)

    def _cut(self, waveforms: Samples) -> Samples:
        """Return overlapping frames, float32[batch, frames, length], as a view."""
        samples = waveforms.shape[1]
        first = (0 if self.centred else self.hop // 2) - self.length // 2
        last = first + (self.frames(samples) - 1) * self.hop + self.length
        edges = ((0, 0), (max(0, -first), max(0, last - samples)))
        padded = np.pad(waveforms, edges, mode="reflect" if self.centred else "symmetric")
        return np.lib.stride_tricks.sliding_window_view(padded, self.length, axis=1)[:, :: self.hop]

    @property
    def _points(self) -> int:
        """Points of the Fourier transform: the next power of two."""
        return 1 << (self.length - 1).bit_length()

    @cached_property
    def _weights(self) -> Samples:
        places = np.arange(self.length) / (self.length if self.periodic else self.length - 1)
        return self.window(places).astype(np.float32)

    @cached_property
    def _bank(self) -> Samples:
        """Triangles on the mel scale, float32[bins, mels]."""
        lowest, highest = htk_mel(np.array([self.low, self.high]))
        mels = np.linspace(lowest, highest, self.mels + 2)
        bins = np.asarray(np.fft.rfftfreq(self._points, 1 / self.rate), np.float64)
        corners, places = (mels, htk_mel(bins)) if self.corners == "mel" else (htk_hertz(mels), bins)
        left, middle, right = corners[:-2], corners[1:-1], corners[2:]
        rising = (places[:, None] - left) / (middle - left)
        falling = (right - places[:, None]) / (right - middle)
        return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)


def _hann(places: Places) -> Places:
    return 0.5 - 0.5 * np.cos(2 * np.pi * places)


def _povey(places: Places) -> Places:
    return _hann(places) ** 0.85


FRONT_ENDS = {
    "ced": FrontEnd(16_000, 512, 64, 0.0, 8_000.0, _hann, periodic=True, log=_decibels, centred=True, corners="hertz"),
    "ced-kaldi": FrontEnd(
        16_000, 512, 64, 0.0, 8_000.0, _hann, periodic=True, log=_decibels, centred=False, corners="mel"
    ),
    "icefall": FrontEnd(
        16_000,
        400,
        80,
        20.0,
        7_600.0,
        _povey,
        periodic=False,
        log=_natural_log,
        centred=False,
        corners="mel",
        preemphasis=0.97,
        remove_mean=True,
    ),
}
"""By the name in a model's card: CED as trained, CED as in sherpa-onnx, and the filter banks of icefall's audio taggers
(zipformer) as in sherpa-onnx."""
