"""Alarms and sirens, by the timing and the pitch that standards and makers give them; bells, by their partials."""

from __future__ import annotations

import numpy as np

from ..networks.frontend import SAMPLE_RATE
from .synthesis import Rng, Samples, Signal, any_ramp, finish, gate, in_turn, seconds, square, tone, voice

CHURCH = (0.5, 1.0, 1.2, 1.5, 2.0, 2.5, 2.67, 3.0, 4.17)
"""Hum, prime, tierce, quint, nominal and above, over the prime (Fletcher and Rossing, The Physics of Musical
Instruments, chapter 21)."""


def alarm_pattern(rng: Rng, beeps: int, length: float, pause: float, low: bool) -> Samples:
    """Repeated groups of equal beeps: `length` seconds on and off, `pause` seconds after each group."""
    base = rng.uniform(505.0, 535.0) if low else rng.uniform(2_850.0, 3_550.0)
    sounder = square(rng) if low else voice(rng)  # a pure low tone is a telephone's
    period = beeps * 2 * length - length + pause
    duration = max(2.5, 2 * period)
    on = [
        (start + 2 * length * i, start + 2 * length * i + length)
        for start in np.arange(0.0, duration, period)
        for i in range(beeps)
    ]
    return finish(tone(base, duration, sounder) * gate(duration, on, any_ramp(rng)))


def temporal_three(rng: Rng) -> Samples:
    """Smoke alarm: three half-second beeps, then 1.5 s of silence (ISO 8201), near 3.1 kHz."""
    return alarm_pattern(rng, 3, 0.5, 1.5, low=False)


def temporal_three_low(rng: Rng) -> Samples:
    """The same pattern as a 520 Hz square wave, which wakes sleepers better."""
    return alarm_pattern(rng, 3, 0.5, 1.5, low=True)


def temporal_four(rng: Rng) -> Samples:
    """Carbon monoxide alarm: four beeps of 0.1 s, then a pause of 5 s (here 1 s, to spare empty windows)."""
    return alarm_pattern(rng, 4, 0.1, 1.0, low=False)


def temporal_four_low(rng: Rng) -> Samples:
    """The carbon monoxide pattern at 520 Hz."""
    return alarm_pattern(rng, 4, 0.1, 1.0, low=True)


def wail(rng: Rng) -> Samples:
    """Siren that rises and falls slowly, 2 to 6 s a turn."""
    low, high, turn = rng.uniform(450, 750), rng.uniform(1_100, 1_700), rng.uniform(2.0, 6.0)
    sweep = low * (high / low) ** (0.5 - 0.5 * np.cos(2 * np.pi * seconds(6.0) / turn + rng.uniform(0, 6.28)))
    return finish(tone(sweep, 6.0, voice(rng)))


def yelp(rng: Rng) -> Samples:
    """Siren that sweeps three to five times a second."""
    low, high, rate = rng.uniform(500, 800), rng.uniform(1_200, 1_800), rng.uniform(2.5, 5.0)
    saw = np.mod(seconds(4.0) * rate, 1.0)
    shape = saw if rng.random() < 0.5 else 1.0 - np.abs(2.0 * saw - 1.0)
    return finish(tone(low * (high / low) ** shape, 4.0, voice(rng)))


def hi_lo(rng: Rng) -> Samples:
    """Two-tone siren, 0.4 to 1 s a tone, a fourth to a fifth apart."""
    low, interval, length = rng.uniform(360, 700), rng.uniform(1.2, 1.5), rng.uniform(0.4, 1.0)
    high = np.mod(np.floor(seconds(5.0) / length), 2.0)
    return finish(tone(low * np.where(high > 0, interval, 1.0), 5.0, voice(rng)))


def fire_sounder(rng: Rng) -> Samples:
    """Sounder of a building's fire alarm: the falling sweep of DIN 33404-3, the two notes or the fast sweep of
    BS 5839-1, or the two notes of NF S 32-001."""
    time = seconds(4.0) + rng.uniform(0.0, 1.0)
    kind = int(rng.integers(4))
    if kind == 0:
        frequency = 1_200.0 - 700.0 * np.mod(time, 1.0)
    elif kind == 1:
        frequency = np.where(np.mod(time * 2.0, 1.0) < 0.5, 800.0, 970.0)
    elif kind == 2:
        frequency = 800.0 + 170.0 * np.mod(time * rng.uniform(6.0, 9.0), 1.0)
    else:
        frequency = np.where(np.mod(time * 2.0, 1.0) < 0.2, 554.0, 440.0)
    return finish(tone(rng.uniform(0.95, 1.05) * frequency, 4.0, voice(rng)))


def buzzer(rng: Rng) -> Samples:
    """Harsh alarm that goes on and off; keeps clear of the low smoke alarm's pitch."""
    frequency = rng.uniform(150, 460) if rng.random() < 0.7 else rng.uniform(580, 900)
    length, gap = rng.uniform(0.15, 0.6), rng.uniform(0.1, 0.6)
    on = [(start, start + length) for start in np.arange(0.0, 4.0, length + gap)]
    falling = tuple(rng.uniform(0.5, 1.5) / k**0.7 for k in range(1, 25))
    sounder = square(rng, 25) if rng.random() < 0.5 else falling
    return finish(tone(float(frequency), 4.0, sounder) * gate(4.0, on, any_ramp(rng)))


def quartz_alarm(rng: Rng) -> Samples:
    """Alarm clock or watch: two to four beeps of a sixteenth of a second, each second or twice as often, at 2,048 or
    4,096 Hz, which a quartz of 32,768 Hz divides into."""
    hurried, beep = rng.random() < 0.5, 1 / 16
    starts = np.arange(rng.uniform(0.0, 0.5), 4.0, 0.5 if hurried else 1.0)
    count = 2 if hurried else int(rng.integers(2, 5))
    on = [(start + 2 * beep * i, start + 2 * beep * i + beep) for start in starts for i in range(count)]
    return finish(tone(float(rng.choice([2_048.0, 4_096.0])), 4.0, voice(rng)) * gate(4.0, on, any_ramp(rng)))


def reversing(rng: Rng) -> Samples:
    """Reversing vehicle: a beep of half a second or so every second, between 1 and 1.5 kHz."""
    period, filled = rng.uniform(0.8, 1.1), rng.uniform(0.4, 0.6)
    on = [(start, start + filled * period) for start in np.arange(rng.uniform(0.0, 0.5), 4.0, period)]
    return finish(tone(rng.uniform(1_000, 1_500), 4.0, voice(rng)) * gate(4.0, on, any_ramp(rng)))


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
