"""The kinds of deafness, and what is none."""

from collections.abc import Iterator

import numpy as np
import pytest

from monitor.audio.hearing import Hearing
from monitor.audio.signal import Signal
from monitor.messages import Samples

RATE = 16000
STEP = np.float32(1 / 32768)


def room(seconds: float, level: float = -60, seed: int = 0) -> Samples:
    """Noise of a room in 16 bits."""
    noise = np.random.default_rng(seed).standard_normal(round(seconds * RATE)) * 10 ** (level / 20)
    return np.clip(np.round(noise * 32768), -32768, 32767).astype(np.float32) * STEP


def hum(seconds: float, mains: int) -> Samples:
    """Mains hum with harmonics, and the converter's last step of noise."""
    t = np.arange(round(seconds * RATE)) / RATE
    wave = sum(0.05 / n * np.sin(2 * np.pi * n * mains * t) for n in (1, 2, 3, 5, 7))
    return np.round((wave + room(seconds, -98)) * 32768).astype(np.float32) * STEP


def steps(seconds: float, most: int) -> Samples:
    """Noise of at most this many steps."""
    return np.random.default_rng(0).integers(-most, most + 1, round(seconds * RATE)).astype(np.float32) * STEP


def heard(samples: Samples, hearing: Hearing | None = None, block: int = 4000) -> Hearing:
    """Pass samples to a source's signal, as an epoch does."""
    hearing = hearing or Hearing()
    signal = Signal(RATE, RATE, hearing=hearing)
    for at in range(0, len(samples), block):
        signal.push(samples[at : at + block, None])
    return hearing


def deaf_signals() -> Iterator[tuple[str, Samples]]:
    """One signal of each kind."""
    yield "silent", np.zeros(20 * RATE, np.float32)
    yield "stuck", np.full(20 * RATE, 0.05, np.float32)
    yield "stuck", np.float32(0.05) + np.abs(steps(20, 1))
    yield "steps", steps(20, 1)
    yield "steps", steps(20, 2)
    yield "clipping", np.clip(room(20) * 1000, -1, 1)
    yield "hum", hum(20, 50)
    yield "hum", hum(20, 60)


@pytest.mark.parametrize(("kind", "samples"), list(deaf_signals()))
def test_each_kind_is_named_and_ends_with_sound(kind: str, samples: Samples) -> None:
    """After its seconds the kind is certain, and a second of a room ends it."""
    hearing = heard(samples)
    assert hearing.longest(certain=True, least=10) == kind
    assert hearing.longest(certain=True, least=30) is None
    heard(room(6), hearing)
    assert hearing.longest(certain=True, least=1) is None


@pytest.mark.parametrize(
    "samples",
    [
        room(20, -85),
        room(20, -60) + np.float32(0.05),
        hum(20, 50) + room(20, -60),
        room(20, -60) + np.float32(0.3) * np.sin(np.arange(20 * RATE) * 2 * np.pi * 1000 / RATE).astype(np.float32),
        np.clip(room(20, -14), -1, 1),
    ],
    ids=["a quiet room", "an offset", "hum in a room", "a tone in a room", "a loud room"],
)
def test_a_room_is_not_deafness(samples: Samples) -> None:
    """Quiet, offset, hum and loudness do not make a microphone deaf as long as a room is in it."""
    hearing = heard(samples)
    assert hearing.longest(certain=True, least=0.01) is None


@pytest.mark.parametrize("block", [160, 1024, 48000])
def test_the_size_of_the_blocks_does_not_matter(block: int) -> None:
    """The seconds are the same however the stream is cut."""
    silent = heard(np.zeros(20 * RATE, np.float32), block=block)
    assert silent.longest(certain=True, least=19.5) == "silent"
    assert heard(room(20), block=block).longest(certain=True, least=0.1) is None


def test_far_quieter_than_usual_is_a_suspicion() -> None:
    """After a quarter of an hour the quiet of a source is known; 30 dB less is worth a warning, but is no proof."""
    hearing = Hearing()
    for second in range(15 * 60):
        hearing.push(room(1, -50, second), RATE)
    assert hearing.longest(certain=False, least=1) is None
    for second in range(40):
        hearing.push(room(1, -80, second), RATE)
    assert hearing.longest(certain=False, least=30) == "low"
    assert hearing.longest(certain=True, least=1) is None


def test_an_interruption_starts_the_count_again() -> None:
    """Silence before a source was lost is not added to the silence after it."""
    hearing = heard(np.zeros(10 * RATE, np.float32))
    hearing.reset()
    assert heard(np.zeros(5 * RATE, np.float32), hearing).longest(certain=True, least=6) is None


def test_an_offset_that_ends_is_not_hum() -> None:
    """The removed offset fades after a stuck value, which leaves silence."""
    hearing = heard(np.concatenate((np.full(12 * RATE, 0.05, np.float32), np.zeros(16 * RATE, np.float32))))
    assert hearing.longest(certain=True, least=15) == "silent"
    assert hearing._seconds["hum"] == 0
