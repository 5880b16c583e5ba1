"""Building blocks of generated sounds: tones, envelopes, the voices of sounders, struck bodies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..networks.frontend import SAMPLE_RATE

Samples = NDArray[np.float32]
Signal = NDArray[np.float64]
Rng = np.random.Generator


def seconds(duration: float) -> Signal:
    """Time axis in seconds."""
    return np.arange(int(duration * SAMPLE_RATE)) / SAMPLE_RATE


def finish(signal: Signal) -> Samples:
    """Scale to a peak of 0.9."""
    return np.asarray(0.9 * signal / max(float(np.abs(signal).max()), 1e-9), np.float32)


def in_turn(strokes: Sequence[Signal], starts: Iterable[float], duration: float) -> Samples:
    """Strokes that begin at `starts`, in seconds, and ring into each other."""
    total = np.zeros(int(duration * SAMPLE_RATE))
    for stroke, start in zip(strokes, starts, strict=True):
        begin = int(start * SAMPLE_RATE)
        total[begin : begin + len(stroke)] += stroke[: max(0, len(total) - begin)]
    return finish(total)


def tone(frequency: Signal | float, duration: float, harmonics: tuple[float, ...] = (1.0,)) -> Signal:
    """A tone in hertz (fixed, or per sample), with the given amplitudes for its 1st, 2nd, ... harmonic."""
    time = seconds(duration)
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(frequency, time.shape)) / SAMPLE_RATE
    top = float(np.max(frequency))
    parts = [a * np.sin((k + 1) * phase) for k, a in enumerate(harmonics) if (k + 1) * top < SAMPLE_RATE / 2.05]
    return np.asarray(np.sum(parts, axis=0) if parts else np.sin(phase))


def gate(duration: float, on: list[tuple[float, float]], ramp: float = 0.004) -> Signal:
    """Envelope of 0 and 1 over `duration` seconds, open in the intervals `on`, with linear ramps in seconds."""
    time = seconds(duration)
    opened = [np.clip(np.minimum(time - start, end - time) / ramp, 0.0, 1.0) for start, end in on]
    return np.asarray(np.max(opened, axis=0))


def any_ramp(rng: Rng) -> float:
    """From a switch that clicks to a soft attack, in seconds."""
    return float(np.exp(rng.uniform(np.log(5e-5), np.log(0.02))))


def voice(rng: Rng, count: int = 14) -> tuple[float, ...]:
    """Harmonic amplitudes of a sounder: a pure tone, a square wave, a sawtooth, or anything between."""
    shape = rng.random()
    if shape < 0.25:
        return (1.0,)
    if shape < 0.5:
        return tuple(1 / k if k % 2 else 0.0 for k in range(1, count + 1))
    if shape < 0.65:
        return tuple(1 / k for k in range(1, count + 1))
    return (1.0, *(rng.uniform(0.0, 0.7) / k for k in range(2, int(rng.integers(3, count)))))


def square(rng: Rng, count: int = 15) -> tuple[float, ...]:
    """Harmonic amplitudes near those of a square wave."""
    return tuple(rng.uniform(0.6, 1.3) / k if k % 2 else rng.uniform(0.0, 0.1) for k in range(1, count + 1))


BODIES = ((1.0,), (1.0, 2.756, 5.404), (1.0, 2.0, 3.0, 4.2), (1.0, 2.0, 3.0, 4.0, 5.0))
"""Frequencies of partials over the lowest: a tone, a free bar, a bell, a string."""


def strike(rng: Rng, frequency: float, decay: float, duration: float) -> Signal:
    """A struck bar, bell or string: partials that die away, the high ones first; `decay` seconds to 1/e."""
    time = seconds(duration)
    ratios = BODIES[int(rng.integers(len(BODIES)))]
    total = np.zeros_like(time)
    for k, ratio in enumerate(ratios):
        if frequency * ratio < SAMPLE_RATE / 2.1:
            level = 1.0 if k == 0 else rng.uniform(0.02, 0.5)
            total += level * np.sin(2 * np.pi * frequency * ratio * time) * np.exp(-time * (1 + 1.5 * k) / decay)
    return total * np.minimum(1.0, time / 0.002)
