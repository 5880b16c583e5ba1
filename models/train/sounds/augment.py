"""What a home does to a sound: distance, a room, a loudspeaker, other sounds, noise. Pure functions on one sound.

Sounds are float32 [64000] at 32 kHz, two seconds. The teachers judge the result, so an effect may be as crude as it is
cheap.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Samples = NDArray[np.float32]
Rng = np.random.Generator

RATE = 32_000
"""Hertz"""
LENGTH = 2 * RATE
"""Samples of a sound."""
ROOM_LENGTH = 32_768
"""Samples of a room's answer: with the sound it makes 96,768, a length that transforms fast."""
TRANSFORM = LENGTH + ROOM_LENGTH
SILENT = 1e-6
"""Root mean square below which a window counts as digital silence."""


def level(samples: Samples) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(samples)))) if len(samples) else 0.0


def decibels(value: float) -> float:
    """Amplitude factor of a level difference in dB."""
    return float(10.0 ** (value / 20.0))


def change_speed(samples: Samples, factor: float) -> Samples:
    """Play `factor` times as fast about the middle, pitch and all, by linear interpolation; silence where it ends."""
    middle = 0.5 * (len(samples) - 1)
    positions = middle + (np.arange(len(samples)) - middle) * factor
    return np.asarray(np.interp(positions, np.arange(len(samples)), samples, 0.0, 0.0), np.float32)


def mix(first: Samples, second: Samples, ratio: float) -> Samples:
    """`first` with `second` beneath it by `ratio` dB; a silent one changes nothing."""
    one, other = level(first), level(second)
    if one < SILENT or other < SILENT:
        return first
    return first + second * np.float32(one / other / decibels(ratio))


def room_answer(rng: Rng) -> Samples:
    """Impulse response of a made-up room: the direct sound, then noise that decays by 60 dB in 0.05 to 0.8 s."""
    decay = np.exp(rng.uniform(np.log(0.05), np.log(0.8)))
    time = np.arange(ROOM_LENGTH, dtype=np.float32) / RATE
    tail = rng.standard_normal(ROOM_LENGTH, dtype=np.float32) * np.exp(-6.908 * time / np.float32(decay))
    tail[0] = 0.0
    tail *= decibels(-rng.uniform(-4.0, 15.0)) / max(float(np.sqrt(np.sum(np.square(tail)))), 1e-9)
    tail[0] = 1.0
    return tail


@cache
def octaves() -> NDArray[np.float32]:
    """Octaves above 60 Hz of each transform bin."""
    frequencies = np.maximum(fft.rfftfreq(TRANSFORM, 1 / RATE), 60.0)
    return np.asarray(np.log2(frequencies / 60.0), np.float32)


def equaliser(rng: Rng) -> NDArray[np.float32]:
    """Random amplitude curve over the transform bins: eight points from 60 Hz to 16 kHz, 4 dB spread."""
    points = np.linspace(0.0, float(octaves()[-1]), 8)
    return np.asarray(10.0 ** (np.interp(octaves(), points, rng.normal(0.0, 4.0, 8)) / 20.0), np.float32)


def in_room(sound: Samples, answer: Samples) -> Samples:
    """The sound through a room's impulse response, of which the first second counts; the level stays."""
    spectrum = fft.rfft(sound, TRANSFORM) * fft.rfft(answer[:ROOM_LENGTH], TRANSFORM)
    return _levelled(fft.irfft(spectrum, TRANSFORM), sound)


def equalised(rng: Rng, sound: Samples) -> Samples:
    """The sound through a random equaliser; the level stays."""
    return _levelled(fft.irfft(fft.rfft(sound, TRANSFORM) * equaliser(rng), TRANSFORM), sound)


def _levelled(changed: Samples, sound: Samples) -> Samples:
    changed = np.asarray(changed[: len(sound)], np.float32)
    return changed * np.float32(level(sound) / max(level(changed), SILENT))


@cache
def noise_bank() -> NDArray[np.float32]:
    """Noises [9, 20 s of samples] of unit level whose power falls by 0 to 8 dB an octave: hiss to rumble."""
    rng = np.random.default_rng(20)
    count = 20 * RATE
    frequencies = np.maximum(fft.rfftfreq(count, 1 / RATE), 40.0)
    bank = []
    for slope in range(9):
        shape = (frequencies / 40.0) ** (-slope / 6.02)
        noise = fft.irfft(fft.rfft(rng.standard_normal(count)) * shape, count)
        bank.append(noise / np.sqrt(np.mean(noise**2)))
    return np.asarray(bank, np.float32)


def add_noise(rng: Rng, sound: Samples, ratio: float) -> Samples:
    """The sound with coloured noise `ratio` dB beneath it."""
    bank = noise_bank()
    start = int(rng.integers(bank.shape[1] - len(sound)))
    return mix(sound, bank[int(rng.integers(len(bank))), start : start + len(sound)], ratio)


def scale(sound: Samples, peak: float) -> Samples:
    """The sound with its peak at `peak` dBFS; digital silence stays."""
    top = float(np.abs(sound).max())
    return sound if top < SILENT else sound * np.float32(decibels(peak) / top)
