"""Log-mel front ends, compared with a simple reference of one frame and one band at a time."""

import functools
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from monitor.classify.features import FRONT_ENDS
from monitor.messages import Samples

RATE, HOP = 16_000, 160


def mirrored(sound: Samples, index: int, with_edge: bool) -> float:
    """The sample at an index, mirrored at the edges."""
    while not 0 <= index < len(sound):
        index = -index - with_edge if index < 0 else 2 * (len(sound) - 1) - index + with_edge
    return float(sound[index])


@functools.cache
def turns(length: int, points: int) -> NDArray[np.complex128]:
    """The matrix of the Fourier transform."""
    angles = -2j * np.pi * np.outer(np.arange(points // 2 + 1), np.arange(length)) / points
    return np.asarray(np.exp(angles))


def powers(frame: list[float], points: int) -> NDArray[np.float64]:
    """The power spectrum of the zero-padded frame."""
    return np.asarray(np.abs(turns(len(frame), points) @ np.array(frame)) ** 2)


def mel(hertz: float) -> float:
    """HTK's scale."""
    return 2595.0 * math.log10(1.0 + hertz / 700.0)


@functools.cache
def bank(points: int, count: int, low: float, high: float, on_mels: bool) -> NDArray[np.float64]:
    """Evenly spaced bands on the mel scale, triangular on that scale or in hertz."""
    step = (mel(high) - mel(low)) / (count + 1)
    weights = np.zeros((count, points // 2 + 1))
    for band in range(count):
        corners = [mel(low) + (band + k) * step for k in range(3)]
        if not on_mels:
            corners = [700.0 * (10.0 ** (corner / 2595.0) - 1.0) for corner in corners]
        left, middle, right = corners
        for index in range(points // 2 + 1):
            hertz = index * RATE / points
            place = mel(hertz) if on_mels else hertz
            if left < place <= middle:
                weights[band, index] = (place - left) / (middle - left)
            elif middle < place < right:
                weights[band, index] = (right - place) / (right - middle)
    return weights


def icefall(sound: Samples) -> NDArray[np.float64]:
    """Kaldi's filter banks: 25 ms of Povey's window, 80 bands of 20-7,600 Hz, frames centred half a hop later."""
    rows = []
    for number in range((len(sound) + HOP // 2) // HOP):
        first = number * HOP + HOP // 2 - 200
        frame = [mirrored(sound, first + k, with_edge=True) for k in range(400)]
        mean = sum(frame) / 400
        frame = [value - mean for value in frame]
        frame = [frame[0] * 0.03, *(frame[k] - 0.97 * frame[k - 1] for k in range(1, 400))]
        frame = [value * (0.5 - 0.5 * math.cos(2 * math.pi * k / 399)) ** 0.85 for k, value in enumerate(frame)]
        rows.append(
            [math.log(max(value, 2.0**-23)) for value in bank(512, 80, 20, 7600, on_mels=True) @ powers(frame, 512)]
        )
    return np.array(rows)


def ced(sound: Samples, as_kaldi: bool) -> NDArray[np.float64]:
    """32 ms of a periodic Hann window, 64 bands up to 8 kHz, in decibels."""
    rows = []
    for number in range((len(sound) + HOP // 2) // HOP if as_kaldi else len(sound) // HOP + 1):
        first = number * HOP - 256 + (HOP // 2 if as_kaldi else 0)
        frame = [mirrored(sound, first + k, with_edge=as_kaldi) for k in range(512)]
        frame = [value * (0.5 - 0.5 * math.cos(2 * math.pi * k / 512)) for k, value in enumerate(frame)]
        rows.append(bank(512, 64, 0, 8000, on_mels=as_kaldi) @ powers(frame, 512))
    levels = 10.0 * np.log10(np.maximum(rows, 1e-10))
    return np.asarray(np.maximum(levels, levels.max() - 120.0))


def sounds() -> dict[str, Samples]:
    """Sounds of a third of a second; the last has digital silence and full scale."""
    rng = np.random.default_rng(0)
    time = np.arange(5_000) / RATE
    noise = rng.uniform(-0.3, 0.3, 5_000)
    chirp = 0.5 * np.sin(2 * np.pi * (200 + 4000 * time) * time) + 0.01 * noise + 0.1
    clicks = np.where(np.arange(5_000) > 4_500, np.sign(noise), 0.0)
    return {name: sound.astype(np.float32) for name, sound in (("noise", noise), ("chirp", chirp), ("clicks", clicks))}


@pytest.mark.parametrize("sound", ["noise", "chirp", "clicks"])
def test_icefall(sound: str) -> None:
    """The front end matches kaldi-native-fbank with the settings of icefall and sherpa-onnx."""
    got = FRONT_ENDS["icefall"](sounds()[sound][None])[0]
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, icefall(sounds()[sound]), atol=2e-3)


@pytest.mark.parametrize("sound", ["noise", "chirp", "clicks"])
@pytest.mark.parametrize(("name", "as_kaldi"), [("ced", False), ("ced-kaldi", True)])
def test_ced(sound: str, name: str, as_kaldi: bool) -> None:
    """The front ends match torchaudio in CED's training, and kaldi-native-fbank with sherpa-onnx's settings."""
    got = FRONT_ENDS[name](sounds()[sound][None])[0]
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, ced(sounds()[sound], as_kaldi), atol=0.02)


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_a_row_has_the_same_features_alone(name: str) -> None:
    """Rows of a batch do not affect one another, also beside silence and full scale."""
    front_end = FRONT_ENDS[name]
    rows = np.stack([*sounds().values(), np.zeros(5_000, np.float32)])
    together = front_end(rows)
    assert together.shape == (4, front_end.frames(5_000), front_end.mels)
    for row, expected in zip(rows, together, strict=True):
        np.testing.assert_allclose(front_end(row[None])[0], expected, atol=1e-4)


@pytest.mark.parametrize("samples", [400, 15_600, 16_000, 15_679, 15_680, 160_000])
@pytest.mark.parametrize("name", FRONT_ENDS)
def test_frames_predicts_the_number_of_frames(name: str, samples: int) -> None:
    """`frames` matches the output for several lengths."""
    front_end = FRONT_ENDS[name]
    assert front_end(np.zeros((1, samples), np.float32)).shape[1] == front_end.frames(samples)
