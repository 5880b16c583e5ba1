"""Windows of a model's own size, cut from recordings."""

from collections.abc import Sequence
from contextlib import closing

import numpy as np

from monitor.audio import demo
from monitor.audio.media import Media
from monitor.audio.resample import Resampler
from monitor.messages import ModelCard, Samples

MOST = 200
"""Windows that are taken of all files together: more tell little more, and each costs time."""


def windows_of(files: Sequence[str], rate: int, window: int) -> list[Samples]:
    """Windows side by side, each float32[window] at `rate` hertz, as many of each file. Raises `SourceError`.

    They are from the beginning of the files; a file shorter than a window is filled up with silence.
    """
    files = files[:MOST]
    most = MOST // len(files)
    return [samples for file in files for samples in _cut(_read(file, rate, most * window), window)]


def scene_of(card: ModelCard) -> list[Samples]:
    """The demonstration's minute in windows of this model."""
    resampler = Resampler(demo.RATE, card.sample_rate)
    return _cut(resampler.push(demo.scene(), last=True), card.window)


def check_readable(files: Sequence[str]) -> None:
    """Raise the `SourceError` of a file that cannot be read, before there is work to lose."""
    for file in files:
        Media(file).close()


def _read(file: str, rate: int, most: int) -> Samples:
    """At most so many samples of a file in one channel, float32[samples]."""
    media = Media(file)
    resampler = Resampler(media.rate, rate)
    parts: list[Samples] = []
    count = 0
    with closing(media.blocks()) as blocks:
        for block in blocks:
            parts.append(resampler.push(block))
            if (count := count + len(parts[-1])) >= most:
                break
    parts.append(resampler.push(np.zeros((0, media.channels), np.float32), last=True))
    return np.concatenate(parts)[:most]


def _cut(samples: Samples, window: int) -> list[Samples]:
    """All whole windows; of less than one, that filled up."""
    if len(samples) < window:
        return [np.pad(samples, (0, window - len(samples)))]
    return list(samples[: len(samples) // window * window].reshape(-1, window))
