"""Timestamps, changes of format, and samples that cannot be audio."""

import re

import numpy as np
import pytest

from monitor.audio.timeline import Converter, Doubt, TimedBlock, Timeline, minutes
from tests.parts.audio_file import tone


def test_frames_follow_their_timestamps() -> None:
    """A late start and a hole count; what rounding changes does not."""
    timeline = Timeline(1.0)
    assert timeline.place(3.5, 0.5) == (2.5, 0.0)
    assert timeline.place(4.01, 0.5) == (3.0, 0.0)
    begin, hole = timeline.place(7.5, 0.5)
    assert (begin, hole) == (6.5, 3.0)


def test_without_timestamps_frames_follow_one_another() -> None:
    """A frame without a timestamp continues the one before it."""
    timeline = Timeline(None)
    assert [timeline.place(None, 0.25)[0] for _ in range(3)] == [0.0, 0.25, 0.5]


@pytest.mark.parametrize("stamp", [0.0, 95443.0])
def test_a_new_count_of_timestamps_continues(stamp: float) -> None:
    """Timestamps that go back, or more than a day ahead, leave no hole."""
    timeline = Timeline(None)
    timeline.place(100.0, 2.0)
    assert timeline.place(stamp, 1.0) == (2.0, 0.0)
    assert timeline.place(stamp + 1.0, 1.0) == (3.0, 0.0)


def test_a_change_of_format_keeps_the_sound() -> None:
    """After a change to another rate and channel count, the tone has the same pitch and length."""
    convert = Converter(16000, 1)
    assert np.array_equal(convert.push(TimedBlock(tone(1, 16000, 440), 16000, 0.0, new=True)), tone(1, 16000, 440))
    heard = convert.push(TimedBlock(tone(2, 48000, 440, 440), 48000, 1.0, new=True))
    assert heard.shape[1] == 1
    assert len(heard) == pytest.approx(32000, abs=500)
    assert np.argmax(np.abs(np.fft.rfft(heard[:, 0]))) * 16000 / len(heard) == pytest.approx(440, abs=2)
    again = convert.push(TimedBlock(tone(1, 16000, 440), 16000, 3.0, new=True))
    assert np.array_equal(again, tone(1, 16000, 440))


@pytest.mark.parametrize(
    ("value", "message"),
    [(np.nan, "NaN or infinite samples from 1:02.50"), (np.inf, "NaN or infinite"), (300, "3e[+]02 times full scale")],
)
def test_samples_that_cannot_be_audio_warn_once(value: float, message: str, caplog: pytest.LogCaptureFixture) -> None:
    """The warning has the time of the first of them."""
    doubt, samples = Doubt("a.wav"), np.zeros((10, 1), np.float32)
    doubt.look(TimedBlock(samples, 16000, 61.0, new=True))
    samples[3] = value
    for at in (62.5, 63.0):
        doubt.look(TimedBlock(samples, 16000, at, new=False))
    (record,) = caplog.records
    assert record.getMessage().startswith("a.wav: ")
    assert re.search(message, record.getMessage())


def test_times_in_a_file() -> None:
    """Minutes are not folded into hours."""
    assert [minutes(0), minutes(59.999), minutes(3725.5)] == ["0:00.00", "1:00.00", "62:05.50"]
