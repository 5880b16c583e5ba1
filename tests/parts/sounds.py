"""Recordings with sounds for the tiny model at exact times."""

import wave
from pathlib import Path

import numpy as np

from monitor.messages import Samples

RATE = 16_000


def room(seconds: float) -> Samples:
    """An empty room: noise at -80 dBFS, float32[n] at 16 kHz."""
    return (1e-4 * np.random.default_rng(0).standard_normal(round(seconds * RATE))).astype(np.float32)


def bursts(seconds: float, *onsets: float, length: float = 0.6) -> Samples:
    """The room, with a loud tone of `length` seconds at each of these seconds."""
    audio = room(seconds)
    for onset in onsets:
        begin, count = round(onset * RATE), round(length * RATE)
        audio[begin : begin + count] += 0.5 * np.sin(np.arange(count) * 0.5).astype(np.float32)[: len(audio) - begin]
    return audio


def write_wav(path: Path, samples: Samples, rate: int = RATE) -> Path:
    """Write float32[n] or float32[n, channels] as 16-bit PCM, and return the path."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path
