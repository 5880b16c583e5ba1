"""Channel, offset, rate and gain: from what a source delivers to what the model gets."""

from typing import Literal

import numpy as np
import pytest

from monitor.audio.level import dbfs
from monitor.audio.signal import Gain, Mixer, OffsetRemover, Signal
from monitor.config.schema import Channel
from monitor.messages import Samples
from tests.parts.audio_file import tone

RATE = 16000


def noise(seconds: float, level: float, seed: int = 0) -> Samples:
    """White noise of this level, dBFS: float32[n]."""
    values = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    return (values * 10 ** (level / 20)).astype(np.float32)


def pushed(part: Mixer | OffsetRemover | Gain | Signal, samples: Samples, block: int = 1024) -> Samples:
    """Push everything, block by block."""
    return np.concatenate([part.push(samples[at : at + block]) for at in range(0, len(samples), block)])


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000])
@pytest.mark.parametrize("channels", ["mono", "stereo", "opposite"])
@pytest.mark.parametrize("kind", ["int16", "float32"])
def test_a_kilohertz_stays_a_kilohertz(
    rate: int, channels: Literal["mono", "stereo", "opposite"], kind: Literal["int16", "float32"]
) -> None:
    """The tone is right within 1 Hz at its full level, and everything else is 60 dB below it."""
    samples = tone(2, rate, 1000)
    if kind == "int16":
        samples = np.round(samples * 32767).astype(np.int16).astype(np.float32) / np.float32(32768)
    if channels != "mono":
        samples = np.hstack((samples, samples if channels == "stereo" else -samples))
    signal = Signal(rate, RATE)
    heard = np.concatenate((pushed(signal, samples, rate // 4), signal.flush()))
    middle = heard[RATE // 2 : RATE // 2 + RATE]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(RATE)))
    at = int(spectrum.argmax())
    assert abs(at - 1000) <= 1
    assert dbfs(middle) == pytest.approx(-9.03, abs=0.1)
    spectrum[at - 5 : at + 6] = 0
    assert 20 * np.log10(spectrum.max() / (RATE / 8)) < -60


@pytest.mark.parametrize(
    ("channel", "expected"), [("mix", 0.4), ("left", 0.2), ("right", 0.6), (1, 0.2), (2, 0.6), ("loudest", 0.6)]
)
def test_the_channel_can_be_chosen(channel: Channel, expected: float) -> None:
    """Each choice gives its channel, and a mix the mean of all."""
    block = tone(0.5, RATE, 500, 500) * np.array([0.4, 1.2], np.float32)
    assert float(np.abs(Mixer(RATE, channel).push(block)).max()) == pytest.approx(expected, abs=1e-3)


def test_the_loudest_channel_changes_with_the_sound() -> None:
    """The louder channel is taken, and small differences do not cause changes."""
    quiet, loud = noise(2, -50)[:, None], noise(2, -20, 1)[:, None]
    mixer = Mixer(RATE, "loudest")
    assert np.array_equal(pushed(mixer, np.hstack((quiet, loud))), loud[:, 0])
    heard = pushed(mixer, np.hstack((loud, quiet)))
    assert np.array_equal(heard[RATE:], loud[RATE:, 0])
    louder = np.hstack((loud, np.float32(1.1) * loud))
    assert np.array_equal(pushed(mixer, louder), louder[:, 0])


def test_channels_that_cancel_are_not_silence() -> None:
    """Opposite phase is noticed from the first block on; ordinary stereo is mixed again within two seconds."""
    left = noise(3, -30)[:, None]
    mixer = Mixer(RATE)
    heard = pushed(mixer, np.hstack((left, -left)))
    assert np.array_equal(np.abs(heard), np.abs(left[:, 0]))
    assert mixer.note == "the channels cancel each other (opposite phase); using channel 1"
    right = noise(4, -30, 1)[:, None]
    both = np.hstack((noise(4, -30)[:, None], right))
    heard = pushed(mixer, both)
    assert np.allclose(heard[2 * RATE :], both[2 * RATE :].mean(axis=1), atol=1e-6)
    assert mixer.note == ""


def test_a_dead_channel_is_left_out() -> None:
    """With one silent channel the other keeps its level."""
    left = noise(1, -30)[:, None]
    mixer = Mixer(RATE)
    assert np.array_equal(pushed(mixer, np.hstack((0 * left, left))), left[:, 0])
    assert mixer.note == "channel 1 is dead; using channel 2"


def test_silence_in_all_channels_says_nothing() -> None:
    """Without any sound no channel is dead and none cancels another."""
    mixer = Mixer(RATE)
    assert not pushed(mixer, np.zeros((RATE, 2), np.float32)).any()
    assert mixer.note == ""


@pytest.mark.parametrize("level", [-20, -40, -60, -80])
def test_a_constant_offset_is_removed(level: float) -> None:
    """With 5 % of offset the level is that of the sound, from the first second on."""
    sound = noise(6, level)
    heard = pushed(OffsetRemover(RATE), sound + np.float32(0.05))
    for second in range(1, 6):
        assert dbfs(heard[second * RATE : (second + 1) * RATE]) == pytest.approx(level, abs=0.5)


def test_without_an_offset_no_sample_changes() -> None:
    """Sound whose mean is about zero passes unchanged."""
    sound = np.concatenate((noise(3, -60), noise(3, -20), noise(3, -60)))
    assert np.array_equal(pushed(OffsetRemover(RATE), sound), sound)


@pytest.mark.parametrize("level", [-60, -70, -90, -110])
def test_the_automatic_gain_raises_a_quiet_room(level: float) -> None:
    """The room comes to -60 dBFS, but no more than 50 dB up, and keeps that level."""
    gain = Gain(RATE, "auto")
    heard = pushed(gain, noise(20, level))
    expected = min(-60.0, level + 50)
    assert dbfs(heard[:RATE]) == pytest.approx(expected, abs=2.5)
    assert dbfs(heard[-RATE:]) == pytest.approx(expected, abs=2.5)
    assert 0 <= gain.decibels <= 50


def test_the_automatic_gain_does_not_follow_a_sound() -> None:
    """A sound of ten seconds stays as far above the room as it was, to 2 dB."""
    audio = noise(20, -90)
    audio[5 * RATE : 15 * RATE] += noise(10, -50, 1)
    heard = pushed(Gain(RATE, "auto"), audio)
    for second in (6, 14):
        assert dbfs(heard[second * RATE : (second + 1) * RATE]) == pytest.approx(-20, abs=3)
    steps = [dbfs(heard[at : at + RATE // 10]) for at in range(6 * RATE, 14 * RATE, RATE // 10)]
    assert max(steps) - min(steps) < 2.5


def test_the_automatic_gain_leaves_headroom() -> None:
    """A loud sound in a quiet room is not clipped for longer than a block."""
    audio = noise(10, -90)
    audio[5 * RATE :] += tone(5, RATE, 1000)[:, 0]
    heard = pushed(Gain(RATE, "auto"), audio)
    assert np.abs(heard[5 * RATE + 2048 :]).max() <= 1.0


def test_digital_silence_does_not_raise_the_gain() -> None:
    """A dropout of digital zeros changes the gain by no more than a few decibels."""
    gain = Gain(RATE, "auto")
    pushed(gain, noise(5, -70))
    before = gain.decibels
    pushed(gain, np.zeros(RATE, np.float32))
    assert gain.decibels == pytest.approx(before, abs=1.0)


def test_a_fixed_gain_is_exact_and_clips() -> None:
    """Twenty decibels are a factor of ten, and full scale is the limit."""
    signal = Signal(RATE, RATE, gain=Gain(RATE, 20.0))
    assert np.allclose(signal.push(np.array([[0.01], [-0.05], [0.5], [-0.5]], np.float32)), [0.1, -0.5, 1, -1])


def test_nan_and_infinity_do_not_spread() -> None:
    """The samples around them keep their value."""
    block = noise(1, -30)[:, None]
    block[100], block[200] = np.nan, np.inf
    for gain in (Gain(RATE), Gain(RATE, "auto")):
        heard = Signal(RATE, RATE, gain=gain).push(block)
        assert np.isfinite(heard).all()
        assert heard[100] == 0
