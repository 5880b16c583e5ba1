"""The synthesised demonstration scene."""

import numpy as np
import pytest

from monitor.audio.inputs import demo
from monitor.messages import Samples

AUDIO = demo.scene()[:, 0]


def part(start: float, end: float) -> Samples:
    """The scene between two times, in seconds."""
    return AUDIO[round(start * demo.RATE) : round(end * demo.RATE)]


def level(start: float, end: float) -> float:
    """RMS in dBFS."""
    return float(20 * np.log10(np.sqrt(np.mean(part(start, end).astype(np.float64) ** 2))))


def pitch(start: float, end: float) -> float:
    """The strongest frequency, Hertz."""
    samples = part(start, end)
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * demo.RATE / len(samples))


def test_the_scene_is_a_minute_that_never_clips() -> None:
    """The scene stays below full scale, and the room is never digitally silent."""
    assert demo.scene().shape == (60 * 16000, 1)
    assert demo.scene().dtype == np.float32
    assert 0.3 < np.abs(AUDIO).max() < 1
    assert all(np.any(part(second, second + 0.1)) for second in range(60))


def test_sounds_stand_out_of_a_quiet_room_when_the_scene_says() -> None:
    """Each sound is 20 dB above the room, in the order of `SCENE`, with quiet between them."""
    quiet_from = 0.0
    for _, start, end in demo.SCENE:
        assert level(quiet_from, start) < -55
        assert level(start, min(end, start + 1)) > -35
        quiet_from = end + 1
    assert level(quiet_from, demo.LENGTH) < -55


def test_the_smoke_alarm_beeps_in_the_temporal_three_pattern() -> None:
    """Half a second on, half a second off, three times, then 1.5 s more of silence: ISO 8201, four seconds a cycle."""
    start, end = next((start, end) for label, start, end in demo.SCENE if label == "Smoke alarm")
    pattern = [level(start + at + 0.05, start + at + 0.45) > -30 for at in np.arange(0, end - start, 0.5)]
    assert pattern == [True, False, True, False, True, False, False, False] * 3
    assert pitch(start + 0.1, start + 0.4) == pytest.approx(3100, abs=20)


def test_the_siren_wails() -> None:
    """The pitch of the siren moves between 600 and 1400 Hz every three seconds."""
    start = next(start for label, start, _ in demo.SCENE if label == "Siren")
    assert pitch(start + 2.95, start + 3.05) == pytest.approx(600, abs=50)
    assert pitch(start + 4.45, start + 4.55) == pytest.approx(1400, abs=50)


def test_the_doorbell_rings_two_falling_tones() -> None:
    """The first tone of the doorbell is a major third above the second."""
    start = next(start for label, start, _ in demo.SCENE if label == "Doorbell")
    assert pitch(start, start + 0.5) == pytest.approx(660, abs=10)
    assert pitch(start + 0.75, start + 1.5) == pytest.approx(528, abs=10)


def test_four_knocks_are_short() -> None:
    """Four knocks begin within the time in `SCENE`, and each ends after a tenth of a second."""
    start, end = next((start, end) for label, start, end in demo.SCENE if label == "Knock")
    loud = np.array([level(at, at + 0.05) > -30 for at in np.arange(start, end - 0.05, 0.05)])
    assert np.count_nonzero(np.diff(loud.astype(int)) == 1) == 4


def test_the_scene_repeats_without_end() -> None:
    """The second round equals the first one."""
    blocks = demo.endless_scene()
    first = np.concatenate([next(blocks) for _ in range(600)])
    assert np.array_equal(first, demo.scene())
    assert np.array_equal(next(blocks), first[:1600])
