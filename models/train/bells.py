"""Struck bells, by the partials of their bodies."""

from __future__ import annotations

import numpy as np

from .frontend import SAMPLE_RATE
from .synthesis import Rng, Samples, Signal, in_turn, seconds

CHURCH = (0.5, 1.0, 1.2, 1.5, 2.0, 2.5, 2.67, 3.0, 4.17)
"""Hum, prime, tierce, quint, nominal and above, over the prime (Fletcher and Rossing, The Physics of Musical
Instruments, chapter 21)."""


def church_bell(rng: Rng) -> Samples:
    """Tower bell: one stroke, or several bells in turn."""
    bells, gap = int(rng.integers(1, 4)), rng.uniform(0.4, 2.0)
    pitches = rng.uniform(180, 800) * np.array([1.0, 1.12, 1.26])[:bells]
    decay, levels = rng.uniform(1.0, 5.0), rng.uniform(0.1, 1.0, len(CHURCH))
    strokes = [ring(pitches[i % bells], CHURCH, levels, decay, 4.0) for i in range(8)]
    return in_turn(strokes, gap * np.arange(8), 6.0)


def hand_bell(rng: Rng) -> Samples:
    """Hand, desk or ship's bell, struck once to four times."""
    ratios = (1.0, *np.sort(rng.uniform(1.8, 6.0, int(rng.integers(2, 6)))))
    levels, decay = np.array([1.0, *rng.uniform(0.05, 0.8, len(ratios) - 1)]), rng.uniform(0.2, 2.0)
    note = ring(rng.uniform(600, 3_000), ratios, levels, decay, 2.5)
    strokes = int(rng.integers(1, 5))
    return in_turn([note] * strokes, rng.uniform(0.2, 0.8) * np.arange(strokes), 3.0)


def trembler_bell(rng: Rng) -> Samples:
    """School bell, old telephone or alarm clock: a hammer strikes a small bell 8 to 30 times a second."""
    ratios = (1.0, *np.sort(rng.uniform(1.4, 5.0, int(rng.integers(2, 6)))))
    levels, decay = np.array([1.0, *rng.uniform(0.1, 1.0, len(ratios) - 1)]), rng.uniform(0.04, 0.6)
    note, duration = ring(rng.uniform(600, 3_500), ratios, levels, decay, 1.0), 3.0
    gap = 1.0 / rng.uniform(8.0, 30.0)
    strokes = [note * level for level in rng.uniform(0.6, 1.0, int(duration / gap))]
    return in_turn(strokes, gap * np.arange(len(strokes)), duration)


def ring(prime: float, ratios: tuple[float, ...], levels: Signal, decay: float, duration: float) -> Signal:
    """One stroke: partials at `ratios` of the prime, high ones dying first; `decay`: seconds of the lowest to 1/e."""
    time = seconds(duration)
    total = np.zeros_like(time)
    for ratio, level in zip(ratios, levels, strict=True):
        if prime * ratio < SAMPLE_RATE / 2.1:
            total += level * np.sin(2 * np.pi * prime * ratio * time) * np.exp(-time * (ratio / ratios[0]) / decay)
    return total * np.minimum(1.0, time / 0.001)
