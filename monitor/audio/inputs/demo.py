"""A synthesised minute in a quiet room: sounds to detect on a machine without a microphone."""

from collections.abc import Callable, Generator

import numpy as np
from numpy.typing import NDArray

from monitor.messages import Samples

Signal = NDArray[np.float64]

RATE = 16000
LENGTH = 60.0  # seconds, then the scene repeats

SCENE: tuple[tuple[str, float, float], ...] = (
    ("Smoke alarm", 5.0, 17.0),
    ("Siren", 23.0, 33.0),
    ("Doorbell", 39.0, 42.0),
    ("Knock", 48.0, 49.5),
)
"""Label, start and end of each sound, in seconds from the beginning of the scene."""


def scene() -> Samples:
    """Return one round of the scene: float32[LENGTH * RATE, 1], the same on every call."""
    audio = room(LENGTH)
    for label, start, end in SCENE:
        sound = SOUNDS[label](end - start)
        at = round(start * RATE)
        audio[at : at + len(sound)] += sound
    return audio.astype(np.float32)[:, None]


def endless_scene() -> Generator[Samples, None, None]:
    """Yield the scene in blocks of a tenth of a second, without end."""
    audio = scene()
    while True:
        yield from np.split(audio, len(audio) // (RATE // 10))


def room(seconds: float) -> Signal:
    """Return faint pink noise, whose power falls with frequency as in a quiet room."""
    n = round(seconds * RATE)
    spectrum = np.fft.rfft(np.random.default_rng(1).standard_normal(n))
    spectrum /= np.sqrt(np.maximum(np.fft.rfftfreq(n, 1 / RATE), 20.0))
    noise = np.fft.irfft(spectrum, n)
    return np.asarray(0.001 * noise / noise.std())


def smoke_alarm(seconds: float) -> Signal:
    """Return the temporal pattern of ISO 8201: three beeps of 0.5 s, 0.5 s apart, then 1.5 s of silence, at 3.1 kHz."""
    t = _time(seconds)
    within = t % 4.0
    beeping = (within < 3.0) & (within % 1.0 < 0.5)
    envelope = _smooth(beeping.astype(np.float64), 0.004)
    tone = sum(level * np.sin(2 * np.pi * 3100 * k * t) for k, level in ((1, 1.0), (2, 0.25)))
    return 0.3 * envelope * tone


def siren(seconds: float) -> Signal:
    """Return a wail: the pitch rises and falls between 600 and 1400 Hz every three seconds."""
    t = _time(seconds)
    pitch = 1000 - 400 * np.cos(2 * np.pi * t / 3.0)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    tone = sum(np.sin(k * phase) / k for k in range(1, 6))
    return 0.2 * np.clip(np.minimum(t, seconds - t) / 0.3, 0, 1) * tone


def doorbell(seconds: float) -> Signal:
    """Return a ding-dong: two struck bars, a major third apart, that ring out."""
    t = _time(seconds)
    return _struck_bar(t, 660.0) + _struck_bar(t - 0.7, 528.0)


def knock(seconds: float) -> Signal:
    """Return four knocks on a wooden door: short, dull, and slightly uneven."""
    t = _time(seconds)
    click = np.random.default_rng(2).standard_normal(len(t))
    sound = np.zeros_like(t)
    for start, level in ((0.05, 0.9), (0.32, 1.0), (0.58, 0.8), (0.85, 0.95)):
        since = t - start
        modes = sum(np.sin(2 * np.pi * f * since) * _decay(since, d) for f, d in ((170, 0.03), (410, 0.018)))
        sound += level * (0.5 * modes + 0.25 * click * _decay(since, 0.004))
    return 0.6 * sound


SOUNDS: dict[str, Callable[[float], Signal]] = {
    "Smoke alarm": smoke_alarm,
    "Siren": siren,
    "Doorbell": doorbell,
    "Knock": knock,
}


def _struck_bar(t: Signal, pitch: float) -> Signal:
    """Sum the partials of a free bar; the higher ones decay faster."""
    sound = np.zeros_like(t)
    for ratio, level, seconds in ((1.0, 1.0, 0.6), (2.756, 0.35, 0.25), (5.404, 0.15, 0.08)):
        sound += level * np.sin(2 * np.pi * pitch * ratio * t) * _decay(t, seconds)
    return 0.3 * sound


def _decay(since: Signal, seconds: float) -> Signal:
    """Zero before the stroke, then an exponential that falls to 1/e in `seconds`."""
    return np.where(since < 0, 0.0, np.exp(-np.maximum(since, 0) / seconds))


def _smooth(envelope: Signal, seconds: float) -> Signal:
    """Round off the edges, to switch without a click."""
    n = round(seconds * RATE)
    return np.convolve(envelope, np.full(n, 1 / n), mode="same")


def _time(seconds: float) -> Signal:
    return np.arange(round(seconds * RATE)) / RATE
