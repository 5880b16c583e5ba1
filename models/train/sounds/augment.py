"""What a home does to a sound: distance, a room, a loudspeaker, other sounds, noise. Pure functions on one window.

Windows are float32 [15600] at 16 kHz. The teacher judges the result, so an effect may be as crude as it is cheap.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from ..networks.frontend import SAMPLE_RATE, WINDOW

Samples = NDArray[np.float32]
Rng = np.random.Generator

ROOM_LENGTH = 8_400
"""Samples of a room's answer: with the window it makes 24,000, a length that transforms fast."""
TRANSFORM = WINDOW + ROOM_LENGTH
SILENT = 1e-6
"""Root mean square below which a window counts as digital silence."""


def level(samples: Samples) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(samples)))) if len(samples) else 0.0


def decibels(value: float) -> float:
    """Amplitude factor of a level difference in dB."""
    return float(10.0 ** (value / 20.0))


def change_speed(samples: Samples, factor: float) -> Samples:
    """Play `factor` times as fast, pitch and all, by linear interpolation."""
    positions = np.arange(0.0, len(samples) - 1, factor)
    return np.asarray(np.interp(positions, np.arange(len(samples)), samples), np.float32)


def fit_window(rng: Rng, samples: Samples) -> Samples:
    """Exactly one window: a long sound is cut, a short one is repeated, or set at a random place in silence."""
    if len(samples) >= WINDOW:
        return samples[:WINDOW]
    if len(samples) and rng.random() < 0.5:
        gap = np.zeros(int(rng.uniform(0.0, 0.3) * SAMPLE_RATE), np.float32)
        period = np.concatenate((samples, gap))
        repeated = np.tile(period, 2 + WINDOW // len(period))
        return repeated[(start := int(rng.integers(len(period)))) : start + WINDOW]
    window = np.zeros(WINDOW, np.float32)
    start = int(rng.integers(WINDOW - len(samples) + 1))
    window[start : start + len(samples)] = samples
    return window


def mix(first: Samples, second: Samples, ratio: float) -> Samples:
    """`first` with `second` beneath it by `ratio` dB; a silent one changes nothing."""
    one, other = level(first), level(second)
    if one < SILENT or other < SILENT:
        return first
    return first + second * np.float32(one / other / decibels(ratio))


def room_answer(rng: Rng) -> Samples:
    """Impulse response of a made-up room: the direct sound, then noise that decays by 60 dB in 0.05 to 0.8 s."""
    decay = np.exp(rng.uniform(np.log(0.05), np.log(0.8)))
    time = np.arange(ROOM_LENGTH, dtype=np.float32) / SAMPLE_RATE
    tail = rng.standard_normal(ROOM_LENGTH, dtype=np.float32) * np.exp(-6.908 * time / np.float32(decay))
    tail[0] = 0.0
    tail *= decibels(-rng.uniform(-4.0, 15.0)) / max(float(np.sqrt(np.sum(np.square(tail)))), 1e-9)
    tail[0] = 1.0
    return tail


@cache
def octaves() -> NDArray[np.float32]:
    """Octaves above 60 Hz of each transform bin."""
    frequencies = np.maximum(fft.rfftfreq(TRANSFORM, 1 / SAMPLE_RATE), 60.0)
    return np.asarray(np.log2(frequencies / 60.0), np.float32)


def equaliser(rng: Rng) -> NDArray[np.float32]:
    """Random amplitude curve over the transform bins: eight points from 60 Hz to 8 kHz, 4 dB spread."""
    points = np.linspace(0.0, float(octaves()[-1]), 8)
    return np.asarray(10.0 ** (np.interp(octaves(), points, rng.normal(0.0, 4.0, 8)) / 20.0), np.float32)


def colour(rng: Rng, window: Samples, room: bool, equalise: bool) -> Samples:
    """The window through a room and an equaliser, in one transform; the level stays."""
    if not (room or equalise) or level(window) < SILENT:
        return window
    spectrum = fft.rfft(window, TRANSFORM)
    if room:
        spectrum *= fft.rfft(room_answer(rng), TRANSFORM)
    if equalise:
        spectrum *= equaliser(rng)
    coloured = np.asarray(fft.irfft(spectrum, TRANSFORM)[:WINDOW], np.float32)
    return coloured * np.float32(level(window) / max(level(coloured), SILENT))


@cache
def noise_bank() -> NDArray[np.float32]:
    """Noises [9, 20 s of samples] of unit level whose power falls by 0 to 8 dB an octave: hiss to rumble."""
    rng = np.random.default_rng(20)
    count = 20 * SAMPLE_RATE
    frequencies = np.maximum(fft.rfftfreq(count, 1 / SAMPLE_RATE), 40.0)
    bank = []
    for slope in range(9):
        shape = (frequencies / 40.0) ** (-slope / 6.02)
        noise = fft.irfft(fft.rfft(rng.standard_normal(count)) * shape, count)
        bank.append(noise / np.sqrt(np.mean(noise**2)))
    return np.asarray(bank, np.float32)


def add_noise(rng: Rng, window: Samples, ratio: float) -> Samples:
    """The window with coloured noise `ratio` dB beneath it."""
    bank = noise_bank()
    start = int(rng.integers(bank.shape[1] - WINDOW))
    return mix(window, bank[int(rng.integers(len(bank))), start : start + WINDOW], ratio)


def scale(window: Samples, peak: float) -> Samples:
    """The window with its peak at `peak` dBFS; digital silence stays."""
    top = float(np.abs(window).max())
    return window if top < SILENT else window * np.float32(decibels(peak) / top)
