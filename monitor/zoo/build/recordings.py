"""Cut windows of a model's size from recordings."""

from collections.abc import Sequence
from contextlib import closing

import numpy as np

from monitor.audio.inputs import demo
from monitor.audio.inputs.media import Media
from monitor.audio.resample import Resampler
from monitor.messages import ModelCard, Samples

MOST = 200
"""Windows to take from all files together: more add little, and each costs time."""


def windows_of(files: Sequence[str], rate: int, window: int) -> list[Samples]:
    """Cut adjacent windows, each float32[window] at `rate` hertz, the same number from each file.

    They come from the beginning of the files; a file shorter than a window is padded with silence. Raises
    `SourceError`.
    """
    files = files[:MOST]
    most = MOST // len(files)
    return [samples for file in files for samples in _cut(_read(file, rate, most * window), window)]


def scene_of(card: ModelCard) -> list[Samples]:
    """Cut the demonstration's minute into windows of this model."""
    resampler = Resampler(demo.RATE, card.sample_rate)
    return _cut(resampler.push(demo.scene(), last=True), card.window)


def check_readable(files: Sequence[str]) -> None:
    """Open and close each file before any work begins. Raises `SourceError` for one that cannot be read."""
    for file in files:
        Media(file).close()


def _read(file: str, rate: int, most: int) -> Samples:
    """Read at most `most` samples of a file in one channel, float32[samples]."""
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
    """All whole windows; less than one is padded."""
    if len(samples) < window:
        return [np.pad(samples, (0, window - len(samples)))]
    return list(samples[: len(samples) // window * window].reshape(-1, window))
