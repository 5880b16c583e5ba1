"""Whether a microphone hears: samples that arrive may still hold no sound, and there are several kinds of that."""

import math

import numpy as np

from monitor.messages import Samples

STEP = 1 / 32768
"""One step of 16 bits."""
FULL = 0.999
"""Sample at or above which a converter is at its limit."""
CLIPPED = 0.1
"""Share of samples at the limit from which nothing but clipping is left."""
HUM_EVERY = 5.0
"""Seconds between two looks at the spectrum."""
HUM_SIZE = 8192
"""Samples of the spectrum."""
HUM_WIDTH = 10.0
"""Hertz on each side of a harmonic that belong to it."""
HUM_FROM = 25.0
"""Hertz; what is lower is not looked at: an offset that is being removed leaves something there."""
HUM_LEAST = 1e-8
"""Power of the least hum: -80 dBFS."""
HUM_BELOW = 500.0
"""Hertz below which most of the power of hum is; a steady tone may be a harmonic too."""
HUM_SHARE = 1e-3
"""Share of the power outside the harmonics below which there is only hum."""
HUM_REST = 3e-10
"""Power outside the harmonics above which it is more than the noise of a converter of 16 bits: -95 dBFS."""
LEARNING, LEARNED = 10.0, 60
"""Seconds of one observation of the quiet of a source, and observations after which it is known."""
MEMORY = 360
"""Observations that the estimate of the quiet follows: an hour."""
FAR_BELOW = 20.0
"""Decibels below the usual quiet that are worth a warning."""

SILENT, STUCK, STEPS = "silent", "stuck", "steps"
CLIPPING, HUM, LOW = "clipping", "hum", "low"

REASONS = {
    SILENT: "nothing but digital silence for {seconds:g} s: muted or unplugged?",
    STUCK: "stuck at one value for {seconds:g} s: a broken cable or converter?",
    STEPS: "nothing but one or two steps of noise for {seconds:g} s: unplugged, or turned down?",
    CLIPPING: "clips all the time for {seconds:g} s: turn its level down",
    HUM: "nothing but mains hum for {seconds:g} s: a broken cable?",
    LOW: "far quieter than usual for {seconds:g} s: covered, moved, or turned down?",
}
CERTAIN = (SILENT, STUCK, STEPS, CLIPPING, HUM)
"""Kinds that a room cannot cause; a room that is far quieter than usual may just be quiet."""


class Hearing:
    """Follows what a source delivers, and counts the seconds of each kind of deafness."""

    def __init__(self) -> None:
        self._seconds = dict.fromkeys(REASONS, 0.0)
        self._quiet: float | None = None
        self._observed, self._count = 0.0, 0
        self._lowest, self._highest = math.inf, -math.inf
        self._last: float | None = None
        self._spectrum_due = HUM_EVERY
        self._recent: list[Samples] = []

    def reset(self) -> None:
        """Restart all counts after an interruption; what was learned about the source stays."""
        self._seconds = dict.fromkeys(REASONS, 0.0)
        self._spectrum_due = HUM_EVERY
        self._recent.clear()

    def longest(self, certain: bool, least: float) -> str | None:
        """Return the kind that has lasted longest, for at least this many seconds."""
        kinds = [kind for kind in REASONS if (kind in CERTAIN) == certain and self._seconds[kind] >= least]
        return max(kinds, key=lambda kind: self._seconds[kind], default=None)

    def push(self, samples: Samples, rate: int) -> None:
        """Add float32[n] at `rate` hertz, as the source delivers it: without gain, and with its offset."""
        if not len(samples):
            return
        seconds = len(samples) / rate
        low, high = float(samples.min()), float(samples.max())
        spread = high - low
        constant = spread == 0 and self._last in (None, high)
        silent = constant and high == 0
        self._last = float(samples[-1])
        near = spread <= 1.5 * STEP and min(abs(low), abs(high)) > 2 * STEP
        self._count_if(SILENT, silent, seconds)
        self._count_if(STUCK, (constant or near) and not silent, seconds)
        self._count_if(STEPS, not constant and not near and _steps(samples, spread), seconds)
        limit = max(high, -low) >= FULL
        self._count_if(CLIPPING, limit and float(np.mean(np.abs(samples) >= FULL)) >= CLIPPED, seconds)
        if spread:
            self._learn(samples, seconds)

    def look(self, samples: Samples, rate: int) -> None:
        """Add float32[n] at the rate of the model, in which hum is looked for now and then."""
        self._spectrum_due -= len(samples) / rate
        if self._spectrum_due > 0:
            return
        self._recent.append(samples)
        if sum(map(len, self._recent)) >= HUM_SIZE:
            self._count_if(HUM, _hums(np.concatenate(self._recent)[-HUM_SIZE:], rate), HUM_EVERY)
            self._recent.clear()
            self._spectrum_due = HUM_EVERY - HUM_SIZE / rate

    def _count_if(self, kind: str, found: bool, seconds: float) -> None:
        self._seconds[kind] = self._seconds[kind] + seconds if found else 0.0

    def _learn(self, samples: Samples, seconds: float) -> None:
        """Follow the quiet of the source; a level far below it is a warning."""
        mean = float(samples.mean())
        power = float(np.dot(samples, samples)) / len(samples) - mean * mean
        level = 10 * math.log10(max(power, 1e-12))
        low = self._quiet is not None and self._count >= LEARNED and level < self._quiet - FAR_BELOW
        self._count_if(LOW, low, seconds)
        self._lowest = min(self._lowest, level)
        self._observed += seconds
        if self._observed >= LEARNING:
            self._count += 1
            share = 1 / min(self._count, MEMORY)
            quiet = self._quiet if self._quiet is not None else self._lowest
            self._quiet = quiet + share * (self._lowest - quiet)
            self._observed, self._lowest = 0.0, math.inf


def _steps(samples: Samples, spread: float) -> bool:
    """Whether the samples move by no more than two steps of 16 bits around zero."""
    if spread > 4.5 * STEP:
        return False
    return spread <= 2.5 * STEP or len(np.unique(np.round(samples / np.float32(STEP)))) <= 5


def _hums(samples: Samples, rate: int) -> bool:
    """Whether all power is in the harmonics of 50 or 60 Hz."""
    size = len(samples)
    window = np.kaiser(size, 14).astype(np.float32)
    power = np.abs(np.fft.rfft((samples - samples.mean()) * window)) ** 2 * (2 / float(np.sum(window**2)) / size)
    frequency = np.arange(len(power)) * rate / size
    power[frequency < HUM_FROM] = 0
    total = float(power.sum())
    if total < HUM_LEAST or float(power[frequency < HUM_BELOW].sum()) < total / 2:
        return False
    for mains in (50.0, 60.0):
        distance = np.abs(frequency - mains * np.maximum(1, np.round(frequency / mains)))
        rest = float(power[(distance > HUM_WIDTH)].sum())
        if rest < HUM_SHARE * total and rest < HUM_REST:
            return True
    return False
