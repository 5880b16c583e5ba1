"""Alarms by their timing: synthesised as the standards define them, in noise and rooms, and what resembles them."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.detect.cadence import CADENCES, CONFIRMED
from monitor.detect.cadence_detector import CadenceDetector
from monitor.messages import Cadence, Samples, Window

RATE = 16_000
SMOKE, MONOXIDE = CADENCES


def beeps(spans: list[tuple[float, float]], seconds: float, pitch: float, square: bool = False) -> Samples:
    """A tone, or a square wave, during these spans (start, end); float32[n] of level 1."""
    time = np.arange(round(seconds * RATE)) / RATE
    edges = [np.clip((time - start) / 0.005, 0, 1) * np.clip((end - time) / 0.005, 0, 1) for start, end in spans]
    harmonics = [k for k in (1, 3, 5, 7, 9) if k * pitch < RATE / 2] if square else [1]
    wave = np.sum([np.sin(2 * np.pi * k * pitch * time) / k for k in harmonics], axis=0)
    return np.asarray(np.sum(edges, axis=0) * wave, np.float32)


def alarm(cadence: Cadence, pitch: float = 3100.0, speed: float = 1.0, groups: int = 2, start: float = 0.7) -> Samples:
    """So many groups of an alarm, and two seconds more."""
    first = [start + speed * group * cadence.period for group in range(groups)]
    length = speed * (cadence.on + cadence.off)
    spans = [(at + i * length, at + i * length + speed * cadence.on) for at in first for i in range(cadence.beeps)]
    return beeps(spans, spans[-1][1] + 2.0, pitch, square=pitch < 1000)


def in_room(dry: Samples, seconds: float) -> Samples:
    """In a room that falls by 60 dB in so many seconds, the direct sound 3 dB above all its reflections together."""
    time = np.arange(round(seconds * RATE)) / RATE
    tail = np.random.default_rng(1).standard_normal(len(time)) * 10 ** (-3 * time / seconds)
    tail *= 10 ** (-3 / 20) / np.sqrt(np.square(tail).sum())
    size = 1 << (len(dry) + len(tail)).bit_length()
    wet = np.fft.irfft(np.fft.rfft(dry, size) * np.fft.rfft(tail, size), size)[: len(dry)]
    return np.asarray(dry + wet, np.float32)


def noisy(samples: Samples, level: float) -> Samples:
    """With white noise of this power relative to a tone of level 1."""
    noise = np.random.default_rng(0).standard_normal(len(samples)) * np.sqrt(level / 2)
    return np.asarray(0.1 * (samples + noise), np.float32)


def scores(samples: Samples, block: int = RATE // 4) -> Samples:
    """The highest scores of each cadence over the whole, float32[cadences]."""
    detector = CadenceDetector(CADENCES, RATE)
    parts = [samples[at : at + block] for at in range(0, len(samples), block)]
    return np.asarray(np.max([detector.update(part) for part in parts], axis=0))


@pytest.mark.parametrize("speed", [0.9, 0.97, 1.0, 1.1])
@pytest.mark.parametrize("pitch", [520.0, 2900.0, 3450.0])
@pytest.mark.parametrize("cadence", CADENCES, ids=lambda cadence: cadence.label)
def test_two_groups_confirm_an_alarm(cadence: Cadence, pitch: float, speed: float) -> None:
    """As loud as the noise, in a room, with a clock that is up to a tenth off; the other cadence is not confirmed."""
    found = scores(noisy(in_room(alarm(cadence, pitch, speed), 0.6), level=1.0))
    assert found[CADENCES.index(cadence)] == CONFIRMED
    assert found[1 - CADENCES.index(cadence)] < CONFIRMED


def test_one_group_alone_confirms_nothing() -> None:
    """It counts a little: the classifier may know more."""
    found = scores(noisy(alarm(SMOKE, groups=1), level=0.1))
    assert 0 < found[0] < CONFIRMED


def test_two_alarms_at_once_are_both_found() -> None:
    """Each at its own pitch and time."""
    smoke, monoxide = alarm(SMOKE, 3000.0, groups=4, start=0.3), alarm(MONOXIDE, 3300.0, groups=3, start=1.1)
    length = min(len(smoke), len(monoxide))
    assert (scores(noisy(smoke[:length] + monoxide[:length], level=0.1)) == CONFIRMED).all()


def test_the_score_lasts_while_the_alarm_does_and_then_falls() -> None:
    """Between two groups it stays; it falls when the next one is well overdue."""
    detector = CadenceDetector(CADENCES, RATE)
    samples = noisy(np.concatenate((alarm(SMOKE, groups=4), np.zeros(8 * RATE, np.float32))), level=0.1)
    parts = [samples[at : at + 4000] for at in range(0, len(samples), 4000)]
    on = np.array([detector.update(part)[0] == CONFIRMED for part in parts])
    assert np.flatnonzero(np.diff(on.astype(int))).size == 2
    assert 4 * 4 <= on.sum() <= 4 * 16


SIMILAR = {
    "a lorry in reverse": beeps([(t, t + 0.5) for t in np.arange(0.2, 18, 1.0)], 20, 2600.0),
    "a quartz clock": beeps([(t + i / 8, t + i / 8 + 1 / 16) for t in range(20) for i in range(4)], 20, 4096.0),
    "a microwave oven": beeps([(1 + i, 1.5 + i) for i in range(3)], 20, 2700.0),
    "an oven every minute": beeps([(t + i, t + i + 0.5) for t in (1, 13) for i in range(3)], 20, 2700.0),
    "a continuous tone": beeps([(0.5, 19.5)], 20, 3100.0),
    "a melody": beeps([(4 * c + i, 4 * c + i + 0.5) for c in range(4) for i in range(1)], 18, 2600.0)
    + beeps([(4 * c + 1, 4 * c + 1.5) for c in range(4)], 18, 2900.0)
    + beeps([(4 * c + 2, 4 * c + 2.5) for c in range(4)], 18, 3300.0),
}


@pytest.mark.parametrize("sound", SIMILAR)
def test_what_resembles_an_alarm_confirms_nothing(sound: str) -> None:
    """Rhythm, pitch, and the pause must all fit."""
    assert (scores(noisy(SIMILAR[sound], level=0.1)) < CONFIRMED).all()


def test_noise_finds_nothing() -> None:
    """Nor does silence."""
    noise = 0.1 * np.random.default_rng(3).standard_normal(30 * RATE).astype(np.float32)
    assert not scores(noise).any()
    assert not scores(np.zeros(10 * RATE, np.float32)).any()


@settings(max_examples=10, deadline=None)
@given(block=st.integers(100, 40_000))
def test_blocks_may_have_any_length(block: int) -> None:
    """The alarm is found all the same."""
    assert scores(noisy(alarm(SMOKE), level=0.1), block)[0] == CONFIRMED


def test_a_new_epoch_begins_with_nothing() -> None:
    """A group before a gap and one after it confirm nothing."""
    detector = CadenceDetector(CADENCES, RATE)
    detector.update(noisy(alarm(SMOKE), level=0.1))
    detector.reset()
    assert not detector.update(np.zeros(4000, np.float32)).any()


@pytest.mark.parametrize("rate", [8_000, 32_000, 44_100, 48_000])
def test_any_rate_will_do(rate: int) -> None:
    """The spectra last as long."""
    time = np.arange(10 * rate) / rate
    on = (time % 4 < 3) & (time % 1 < 0.5) & (time < 7)
    detector = CadenceDetector(CADENCES, rate)
    found = [
        detector.update(part) for part in np.split((0.1 * on * np.sin(2 * np.pi * 3100 * time)).astype(np.float32), 40)
    ]
    assert np.max(found, axis=0)[0] == CONFIRMED


def test_windows_that_overlap_are_followed_and_a_gap_starts_over() -> None:
    """Each sample counts once; nothing is confirmed across audio that is missing."""
    samples = noisy(alarm(SMOKE), level=0.1)
    whole, broken = CadenceDetector(CADENCES, RATE), CadenceDetector(CADENCES, RATE)
    found = []
    for start in range(0, len(samples) - RATE, RATE // 4):
        window = Window("hall", 0, start, RATE, samples[start : start + RATE], datetime.now(UTC))
        found.append(whole.follow(window)[0])
        if not 4 * RATE <= start < 6 * RATE:
            assert broken.follow(window)[0] < CONFIRMED
    assert max(found) == CONFIRMED


def test_the_span_is_that_of_the_beeps() -> None:
    """From the first beep to the end of the last group, to 0.3 s."""
    detector = CadenceDetector(CADENCES, RATE)
    samples = noisy(alarm(SMOKE, groups=3, start=1.2), level=0.1)
    for at in range(0, len(samples), 4000):
        detector.update(samples[at : at + 4000])
    first, last = detector.span(0)
    assert first / RATE == pytest.approx(1.2, abs=0.3)
    assert last / RATE == pytest.approx(1.2 + 2 * SMOKE.period + SMOKE.length, abs=0.3)


def test_one_group_is_enough_for_a_cadence_that_does_not_come_again() -> None:
    """As at the end of a washing cycle; other beeps in the same rhythm, at another pitch, are not it."""
    washed = Cadence("Washed", beeps=5, on=0.4, off=0.6, pause=None, bands=((1940.0, 2060.0),))
    for pitch, score in ((2000.0, CONFIRMED), (2300.0, 0.0)):
        spans = [(1.0 + i, 1.4 + i) for i in range(5)]
        samples = noisy(beeps(spans, 9.0, pitch), level=0.1)
        detector = CadenceDetector((washed,), RATE)
        found = [detector.update(samples[at : at + 4000])[0] for at in range(0, len(samples), 4000)]
        assert max(found) == score
        if score:
            first, last = detector.span(0)
            assert first / RATE == pytest.approx(1.0, abs=0.3)
            assert last / RATE == pytest.approx(5.4, abs=0.3)
