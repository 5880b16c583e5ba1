"""Generated sounds have the timing and the pitch that their names promise."""

import importlib

import numpy as np
import pytest

pytest.importorskip("torch", reason="the training recipe needs torch; the bundled model does not")
pytest.importorskip("scipy", reason="the training recipe needs scipy")
generators = importlib.import_module("models.train.sounds.generators")
sounders = importlib.import_module("models.train.sounds.sounders")


def runs(sound: np.ndarray) -> list[tuple[bool, float]]:
    """Alternating (sounding, seconds) of a gated tone, by 10 ms blocks."""
    blocks = np.abs(sound[: len(sound) // 160 * 160].reshape(-1, 160)).max(axis=1) > 0.1
    edges = np.flatnonzero(np.diff(blocks)) + 1
    pieces = np.split(blocks, edges)
    return [(bool(piece[0]), len(piece) / 100) for piece in pieces]


def pitch(sound: np.ndarray) -> float:
    """Frequency in hertz of the strongest line."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(np.argmax(spectrum) * 16_000 / len(sound))


@pytest.mark.parametrize(("name", "low", "high"), [("temporal_three", 2_850, 3_550), ("temporal_three_low", 505, 535)])
def test_smoke_alarm_beeps_three_half_seconds_and_pauses(name: str, low: float, high: float) -> None:
    sound = getattr(sounders, name)(np.random.default_rng(3))
    timing = runs(sound)
    assert [on for on, _ in timing[:6]] == [True, False] * 3
    assert [seconds for _, seconds in timing[:6]] == pytest.approx([0.5, 0.5, 0.5, 0.5, 0.5, 1.5], abs=0.03)
    assert low <= pitch(sound) <= high


def test_carbon_monoxide_alarm_beeps_four_tenths() -> None:
    timing = runs(sounders.temporal_four(np.random.default_rng(3)))
    assert [seconds for on, seconds in timing[:7] if on] == pytest.approx([0.1] * 4, abs=0.03)
    assert [seconds for on, seconds in timing[:7] if not on] == pytest.approx([0.1] * 3, abs=0.03)


def test_a_quartz_clock_beeps_sixteenths_of_a_second_at_a_power_of_two() -> None:
    sound = sounders.quartz_alarm(np.random.default_rng(3))
    assert {seconds for on, seconds in runs(sound)[1:-1] if on} <= {0.05, 0.06, 0.07, 0.08}
    assert min(abs(pitch(sound) - 2_048), abs(pitch(sound) - 4_096)) < 1


def test_a_vehicle_that_reverses_beeps_about_every_second() -> None:
    beeps = [seconds for on, seconds in runs(sounders.reversing(np.random.default_rng(4)))[1:-1] if on]
    assert len(beeps) >= 2
    assert 0.3 < min(beeps) <= max(beeps) < 0.7


def test_fire_sounders_keep_to_the_pitches_of_their_standards() -> None:
    pitches = [pitch(sounders.fire_sounder(np.random.default_rng(seed))) for seed in range(20)]
    assert 400 < min(pitches) < 800 < max(pitches) < 1_300


def test_a_church_bell_hums_an_octave_below_its_prime_and_rings_on() -> None:
    rng = np.random.default_rng(2)
    note = sounders.ring(400.0, sounders.CHURCH, np.ones(len(sounders.CHURCH)), 3.0, 4.0)
    assert pitch(note[-16_000:]) == pytest.approx(200.0, abs=1.0)
    sound = sounders.church_bell(rng)
    assert np.abs(sound[-1_600:]).max() > 0.001


def test_a_trembler_bell_is_struck_many_times_a_second() -> None:
    sound = sounders.trembler_bell(np.random.default_rng(7))
    levels = np.abs(sound[: len(sound) // 80 * 80].reshape(-1, 80)).max(axis=1)
    rises = np.diff(levels) > 0.15 * levels.max()
    assert 8 * 3 * 0.8 <= rises.sum() <= 30 * 3 * 2


@pytest.mark.parametrize("kind", generators.GENERATORS, ids=lambda kind: kind.make.__name__)
def test_every_sound_is_float32_finite_and_within_full_scale(kind: object) -> None:
    sound = kind.make(np.random.default_rng(5))  # type: ignore[attr-defined]
    assert sound.dtype == np.float32
    assert np.isfinite(sound).all()
    assert np.abs(sound).max() <= 1.0
    assert len(sound) >= 8_000


def test_the_same_seed_draws_the_same_sound() -> None:
    first, second = (generators.door_chime(np.random.default_rng(9)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
