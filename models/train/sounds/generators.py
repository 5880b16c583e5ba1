"""Sounds that are exact by definition: alarms, sirens, bells, knocks, and the plain tones they are confused with.

Every generator takes a random generator and gives float32 samples in [-1, 1] at 16 kHz, two to ten seconds long, drawn
anew each time. Those whose name is certain carry AudioSet names: a teacher that never heard a clean synthetic smoke
alarm must not be the judge of one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from ..networks.frontend import SAMPLE_RATE
from .augment import noise_bank
from .sounders import (
    buzzer,
    church_bell,
    fire_sounder,
    hand_bell,
    hi_lo,
    quartz_alarm,
    reversing,
    temporal_four,
    temporal_four_low,
    temporal_three,
    temporal_three_low,
    trembler_bell,
    wail,
    yelp,
)
from .synthesis import Rng, Samples, any_ramp, finish, gate, in_turn, seconds, strike, tone, voice


@dataclass(frozen=True, slots=True)
class Generator:
    """A kind of sound."""

    make: Callable[[Rng], Samples]
    names: tuple[str, ...] = ()
    """AudioSet names the sound certainly has; empty leaves the judgement to the teacher."""
    share: float = 1.0
    """How often it is drawn, relative to the others."""
    event: str = ""
    """The event that it certainly is."""
    alone: bool = False
    """Whether that event is surely none of the other kinds here."""


def door_chime(rng: Rng) -> Samples:
    """Ding-dong: a high note, then a lower one a third to a fourth below, both ringing on."""
    high, ratio = rng.uniform(480, 1_100), rng.choice([1.1892, 1.2599, 1.3348])
    gap, decay, state = rng.uniform(0.3, 0.9), np.exp(rng.uniform(np.log(0.2), np.log(2.0))), rng.bit_generator.state
    notes = []
    for frequency in (high, high / ratio):
        rng.bit_generator.state = state  # both notes come from the same kind of body
        notes.append(strike(rng, frequency, decay, 2.4))
    return in_turn(notes, (0.05, 0.05 + gap), 2.4)


def melody(rng: Rng) -> Samples:
    """Three to ten notes of a scale, faster than a chime: what a doorbell must not be mistaken for."""
    root, gap, decay = rng.uniform(200, 900), rng.uniform(0.1, 0.4), rng.uniform(0.1, 0.6)
    scale = np.array([0, 2, 4, 5, 7, 9, 11, 12])
    count, state = int(rng.integers(3, 11)), rng.bit_generator.state
    steps = np.arange(count) % 8 if rng.random() < 0.3 else rng.integers(0, 8, count)
    notes = []
    for semitones in scale[steps]:
        rng.bit_generator.state = state
        notes.append(strike(rng, root * 2 ** (semitones / 12), decay, 1.0))
    return in_turn(notes, gap * np.arange(count), count * gap + 1.0)


def knocks(rng: Rng) -> Samples:
    """Two to six raps on a door: short noise bursts and a few damped panel modes, in any proportion."""
    count, gap = int(rng.integers(2, 7)), rng.uniform(0.11, 0.4)
    total = np.zeros(int((0.3 + count * gap + 0.2) * SAMPLE_RATE))
    modes = [(rng.uniform(90, 350), 0.03), (rng.uniform(300, 900), 0.018), (rng.uniform(800, 2_400), 0.008)]
    levels = (1.0, rng.uniform(0.0, 1.0), rng.uniform(0.0, 0.5))
    dull, thud = np.exp(-2 * np.pi * rng.uniform(400, 6_000) / SAMPLE_RATE), rng.uniform(0.0, 1.0)
    length = np.exp(rng.uniform(np.log(0.003), np.log(0.025)))
    time = seconds(0.2)
    for i in range(count):
        noise = lfilter([1 - dull], [1.0, -dull], rng.standard_normal(len(time))) * np.exp(-time / length)
        rap = rng.uniform(0.9, 1.1) * (1.0 - thud) * noise / np.abs(noise).max()
        for (frequency, decay), level in zip(modes, levels, strict=True):
            rap += thud * level * np.sin(2 * np.pi * frequency * time) * np.exp(-time / decay)
        begin = int((0.1 + i * gap * rng.uniform(0.92, 1.08)) * SAMPLE_RATE)
        total[begin : begin + len(time)] += rng.uniform(0.6, 1.0) * rap[: len(total) - begin]
    return finish(total)


def dial_tones(rng: Rng) -> Samples:
    """DTMF: pairs of tones, one digit after the other."""
    length, digits = rng.uniform(0.07, 0.25), 6
    total = []
    for _ in range(digits):
        pair = rng.choice([697, 770, 852, 941]), rng.choice([1209, 1336, 1477, 1633])
        total += [tone(float(pair[0]), length) + tone(float(pair[1]), length), np.zeros(int(length * SAMPLE_RATE))]
    return finish(np.concatenate([*total, *total]))


def telephone(rng: Rng) -> Samples:
    """An electronic ring: two tones that alternate fast, in bursts."""
    low, rate = rng.uniform(600, 1_300), rng.uniform(12, 25)
    warble = np.where(np.mod(seconds(3.0) * rate, 1.0) < 0.5, 1.0, rng.uniform(1.15, 1.35))
    return finish(tone(low * warble, 3.0, (1.0, 0.3, 0.2)) * gate(3.0, [(0.1, 1.1), (1.6, 2.6)]))


def beeps(rng: Rng) -> Samples:
    """Kitchen, computer and telephone beeps, clear of the smoke alarms' pitch; the low ones are pure tones."""
    low = rng.random() < 0.3
    frequency = rng.uniform(300, 700) if low else rng.choice([rng.uniform(700, 2_600), rng.uniform(3_800, 4_600)])
    length, gap = rng.uniform(0.05, 0.7), rng.uniform(0.05, 0.9)
    on = [(start, start + length) for start in np.arange(0.05, 3.0, length + gap)]
    sound = tone(float(frequency), 3.0, (1.0,) if low else voice(rng))
    if low and rng.random() < 0.5:
        sound += tone(float(frequency * rng.uniform(1.05, 1.5)), 3.0)
    return finish(sound * gate(3.0, on, any_ramp(rng)))


def hum(rng: Rng) -> Samples:
    """Mains hum with its harmonics."""
    return finish(tone(float(rng.choice([50.0, 60.0])), 2.0, tuple(rng.uniform(0, 1, 12))))


def steady_tone(rng: Rng) -> Samples:
    """One tone anywhere between 100 Hz and 7 kHz."""
    return finish(tone(float(np.exp(rng.uniform(np.log(100), np.log(7_000)))), 2.0))


def chirp(rng: Rng) -> Samples:
    """One sweep up or down."""
    ends = np.exp(rng.uniform(np.log(150), np.log(6_500), 2))
    return finish(tone(ends[0] * (ends[1] / ends[0]) ** (seconds(2.0) / 2.0), 2.0))


def clicks(rng: Rng) -> Samples:
    """A train of clicks, 1 to 30 a second."""
    total = np.zeros(2 * SAMPLE_RATE)
    total[:: int(SAMPLE_RATE / np.exp(rng.uniform(0.0, np.log(30))))] = 1.0
    return finish(lfilter([1.0], [1.0, -rng.uniform(0.3, 0.9)], total))


def silence(rng: Rng) -> Samples:
    """Digital silence, or the quiet hiss and rumble of an empty room."""
    bank = noise_bank()
    level = rng.choice([0.0, np.exp(rng.uniform(np.log(1e-5), np.log(3e-3)))])
    start = int(rng.integers(bank.shape[1] - 2 * SAMPLE_RATE))
    return bank[int(rng.integers(len(bank))), start : start + 2 * SAMPLE_RATE] * np.float32(level)


SMOKE = ("Smoke detector, smoke alarm", "Alarm")
SIREN = ("Siren", "Emergency vehicle")

GENERATORS: tuple[Generator, ...] = (
    Generator(temporal_three, SMOKE, 3.0, "Smoke alarm", alone=True),
    Generator(temporal_three_low, SMOKE, 1.5, "Smoke alarm", alone=True),
    Generator(temporal_four, SMOKE, 1.0, "Smoke alarm", alone=True),
    Generator(temporal_four_low, SMOKE, 0.5, "Smoke alarm", alone=True),
    Generator(wail, SIREN, 1.0, "Emergency siren", alone=True),
    Generator(yelp, SIREN, 1.0, "Emergency siren", alone=True),
    Generator(hi_lo, SIREN, 1.0, "Emergency siren", alone=True),
    Generator(door_chime, ("Doorbell", "Ding-dong"), 3.0, "Doorbell ringing", alone=True),
    Generator(knocks, ("Knock",), 2.5, "Knocking on a door", alone=True),
    Generator(melody, share=2.0),
    Generator(dial_tones, share=0.5),
    Generator(telephone, share=0.7),
    Generator(beeps, share=2.0),
    Generator(hum, share=0.7),
    Generator(steady_tone),
    Generator(chirp, share=0.7),
    Generator(clicks, share=0.7),
    Generator(silence, share=1.0),
    Generator(fire_sounder, ("Alarm", "Fire alarm"), 1.5, "Alarm sounding"),
    Generator(buzzer, ("Alarm", "Buzzer"), 1.0, "Alarm sounding"),
    Generator(quartz_alarm, ("Alarm clock", "Alarm", "Beep, bleep"), 1.5, "Alarm clock ringing"),
    Generator(reversing, ("Reversing beeps", "Beep, bleep"), 0.7, "Beeping"),
    Generator(church_bell, ("Church bell", "Bell"), 1.5, "Church bells"),
    Generator(trembler_bell, ("Bell",), 1.5, "Bell ringing"),
    Generator(hand_bell, ("Bell",), 1.0, "Bell ringing"),
)
"""All kinds, with their shares. Pools on disk know them by number: new ones go last."""


def draw(rng: Rng) -> int:
    """Number of a kind at random, by share."""
    shares = np.array([generator.share for generator in GENERATORS])
    return int(rng.choice(len(GENERATORS), p=shares / shares.sum()))
