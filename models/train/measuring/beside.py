"""Other ears on the same windows: YAMNet, mn04 on the two seconds around each, and the mean of their logits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..data.corpus import Corpus
from ..learning.efficientat import SecondTeacher
from ..learning.pool import Teach, logit
from ..learning.targets import sigmoid
from ..learning.teacher import Teacher
from ..networks.frontend import SAMPLE_RATE, WINDOW
from ..progress import track
from ..sounds.augment import LENGTH, RATE
from .evaluate import Samples, Scorer
from .home import HOP, Heard, Listener, Stream

BATCH = 8
"""Sounds that the second teacher hears at a time."""


def model_listener(score: Scorer, corpus: Corpus) -> Listener:
    """A model with both heads as a listener."""

    def listen(stream: Stream) -> Samples:
        return np.concatenate(score(stream.windows(corpus))[:2], axis=1)

    return listen


def teachers(
    found: Sequence[Stream], corpus: Corpus, wide: Corpus, folder: Path, work: Path, names: Sequence[str]
) -> dict[str, Heard]:
    """Answers of the teachers in `folder`, kept in `work` for the next time; `wide`: the corpus at 32 kHz."""
    yamnet, second = Teacher(folder / "yamnet.tflite"), SecondTeacher(folder)
    logits: dict[str, list[Samples]] = {"YAMNet": [], "mn04": [], "YAMNet and mn04": []}
    store = work / f"teachers-{corpus.digest[:8]}"
    store.mkdir(parents=True, exist_ok=True)
    for stream in track(found, "listen: teachers"):
        path = store / f"{stream.numbers[0]}-{stream.numbers[-1]}-{bool(stream.event):d}.npz"
        if not path.exists():
            close = near(stream.windows(corpus), yamnet)
            part = path.with_suffix(".part.npz")
            np.savez(part, near=close, far=far(stream.samples(wide), len(close), second))
            part.replace(path)
        with np.load(path) as kept:
            close, wider = kept["near"], kept["far"]
        for title, each in zip(logits, (close, wider, 0.5 * (close + wider)), strict=True):
            logits[title].append(each)
    return {title: Heard(tuple(found), tuple(map(sigmoid, each)), tuple(names)) for title, each in logits.items()}


def near(windows: Samples, teacher: Teach) -> Samples:
    """Logits [n, 521] of windows [n, 15600]."""
    return np.stack([logit(teacher(window)[0]) for window in windows])


def far(samples: Samples, count: int, second: Teach) -> Samples:
    """Logits [count, 521] of the two seconds around each window of a sound at 32 kHz."""
    around = np.pad(samples, (LENGTH // 2, LENGTH))
    factor = RATE // SAMPLE_RATE
    starts = factor * (HOP * np.arange(count) + WINDOW // 2)
    batches = (starts[i : i + BATCH] for i in range(0, count, BATCH))
    return np.concatenate([second(np.stack([around[s : s + LENGTH] for s in batch]))[0] for batch in batches])
