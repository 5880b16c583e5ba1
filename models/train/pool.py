"""The pool: augmented windows, each with the teacher's answer to exactly that window, in shards on disk.

A shard is drawn from its own seed, so that it can be made again, made by any worker, and resumed by leaving out those
that are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from . import augment, generators
from .augment import Rng, Samples
from .corpus import Corpus
from .frontend import WINDOW, LogMel
from .labels import indices_of
from .network import CLASSES
from .progress import bar, track
from .teacher import Teacher

SHARD = 2_048
"""Windows a shard."""
STEP = 7_800
"""Samples from one surveyed window of a recording to the next."""
GENERATED = 0.12
"""Share of windows whose main sound comes from a generator."""
PLAIN = 0.15
"""Share of windows left as they are."""
QUIET = 0.003
"""Root mean square below which a window stays as quiet as it is: homes are silent most of the time."""
SURE, NAMED = 0.95, 0.75
"""Lowest target of a generated sound's own names, and of names that a recording's label plainly says."""


@dataclass(frozen=True, slots=True)
class Survey:
    """The teacher's opinion of the plain recordings, window by window."""

    clip: NDArray[np.int64]
    """[n] clip number."""
    start: NDArray[np.int64]
    """[n] first sample within the clip."""
    scores: NDArray[np.float16]
    """[n, 521]"""
    level: NDArray[np.float32]
    """[n] root mean square."""


@dataclass(frozen=True, slots=True)
class Example:
    """One window to be judged."""

    window: Samples
    names: tuple[str, ...] = ()
    """AudioSet names known to be in the window."""
    least: float = 0.0
    """Lowest target for those names."""


def survey(corpus: Corpus, teacher: Teacher, work: Path) -> Survey:
    """Run the teacher over every recording; kept in `work` for the next time."""
    store = work / "survey.npz"
    if store.exists():
        with np.load(store) as kept:
            if str(kept["digest"]) == corpus.digest:
                return Survey(kept["clip"], kept["start"], kept["scores"], kept["level"])
    places = [
        (clip, start)
        for clip, length in enumerate(np.diff(corpus.bounds))
        for start in range(0, max(1, int(length) - WINDOW // 2), STEP)
    ]
    scores = np.empty((len(places), CLASSES), np.float16)
    levels = np.empty(len(places), np.float32)
    for row, (clip, start) in enumerate(track(places, "survey recordings")):
        window = np.zeros(WINDOW, np.float32)
        samples = corpus.slice(clip, start, WINDOW)
        window[: len(samples)] = samples
        scores[row], levels[row] = teacher(window)[0], augment.level(window)
    clips, starts = np.array(places, np.int64).T
    part = work / "survey.part.npz"
    np.savez(part, clip=clips, start=starts, scores=scores, level=levels, digest=corpus.digest)
    part.replace(store)
    return Survey(clips, starts, scores, levels)


def weights(corpus: Corpus, found: Survey) -> NDArray[np.float64]:
    """[n] chance of each surveyed window of the train split: rare classes up, long recordings down."""
    train = np.array([clip.split == "train" for clip in corpus.clips])[found.clip]
    scores = found.scores.astype(np.float64) * train[:, None]
    mass = scores.sum(axis=0)
    rarity = scores @ (1.0 / np.maximum(mass, 3.0) ** 0.65)
    per_clip = np.bincount(found.clip, minlength=len(corpus.clips))[found.clip]
    plain = np.array([bool(clip.names) for clip in corpus.clips])[found.clip]
    chance = train * (rarity + 0.02 * rarity[train].mean()) / np.sqrt(per_clip) * np.where(plain, 1.5, 1.0)
    return np.asarray(chance / chance.sum())


class Sampler:
    """Draws augmented windows of the train split."""

    def __init__(self, corpus: Corpus, found: Survey) -> None:
        self._corpus = corpus
        self._survey = found
        self._cumulative = np.cumsum(weights(corpus, found))
        self._loudest = np.zeros(len(corpus.clips), np.float32)
        np.maximum.at(self._loudest, found.clip, found.level)

    def example(self, rng: Rng) -> Example:
        """A window as a microphone in a home might hear it."""
        if rng.random() < GENERATED:
            base, names, least = self._generated(rng)
        else:
            base, names = self._recorded(rng)
            least = NAMED
        if rng.random() < PLAIN or augment.level(base) < QUIET:
            return Example(base, names, least)
        ratio = np.inf
        if rng.random() < 0.45:
            ratio = rng.uniform(-5.0, 20.0)
            base = augment.mix(base, self._recorded(rng)[0], ratio)
        base = augment.colour(rng, base, room=rng.random() < 0.4, equalise=rng.random() < 0.5)
        if rng.random() < 0.4:
            noise = rng.uniform(5.0, 40.0)
            base = augment.add_noise(rng, base, noise)
            ratio = min(ratio, noise)
        base = augment.scale(base, rng.uniform(-32.0, 0.0))
        return Example(base, names if ratio >= 5.0 else (), least)

    def _generated(self, rng: Rng) -> tuple[Samples, tuple[str, ...], float]:
        kind = generators.draw(rng)
        sound = kind.make(rng)
        start = int(rng.integers(max(1, len(sound) - WINDOW + 1)))
        window = np.zeros(WINDOW, np.float32)
        cut = sound[start : start + WINDOW]
        window[: len(cut)] = cut
        present = augment.level(window) > 0.5 * augment.level(sound)
        return window, kind.names if present else (), SURE

    def _recorded(self, rng: Rng) -> tuple[Samples, tuple[str, ...]]:
        row = min(int(np.searchsorted(self._cumulative, rng.random())), len(self._cumulative) - 1)
        clip, speed = int(self._survey.clip[row]), 1.0
        if rng.random() < 0.35:
            speed = float(rng.uniform(0.85, 1.18))
        latest = max(0, int(np.diff(self._corpus.bounds[clip : clip + 2])[0]) - WINDOW // 2)
        start = int(np.clip(self._survey.start[row] + rng.integers(-STEP // 2, STEP // 2), 0, latest))
        samples = self._corpus.slice(clip, start, int(WINDOW * speed) + 2)
        if speed != 1.0 and len(samples) > 1:
            samples = augment.change_speed(samples, speed)
        window = augment.fit_window(rng, samples)
        present = augment.level(window) > max(0.5 * self._loudest[clip], augment.SILENT)
        return window, self._corpus.clips[clip].names if present else ()


def label(sampler: Sampler, teacher: Teacher, names: list[str], pool: Path, shards: Sequence[int], seed: int) -> None:
    """Make those of the numbered shards that `pool` lacks. Safe to stop at any time."""
    pool.mkdir(parents=True, exist_ok=True)
    frontend = LogMel()
    missing = [shard for shard in shards if not shard_path(pool, shard).exists()]
    with bar() as progress:
        task = progress.add_task("label windows", total=len(missing) * SHARD, note="")
        for shard in missing:
            rng = np.random.default_rng((seed, shard))
            windows = np.zeros((SHARD, WINDOW), np.float32)
            scores = np.zeros((SHARD, CLASSES), np.float32)
            embeddings = []
            for row in range(SHARD):
                example = sampler.example(rng)
                windows[row] = np.clip(example.window, -1.0, 1.0)
                scores[row], embedding = teacher(windows[row])
                wanted = indices_of(example.names, names)
                scores[row, wanted] = np.maximum(scores[row, wanted], example.least)
                embeddings.append(embedding.astype(np.float16))
                progress.advance(task)
            save_shard(shard_path(pool, shard), logmel_of(frontend, windows), scores, np.stack(embeddings))


def logmel_of(frontend: LogMel, windows: Samples) -> NDArray[np.float16]:
    """Log-mel [n, 96, 64] of windows [n, 15600], a few at a time to stay in the cache."""
    with torch.inference_mode():
        parts = [frontend(torch.from_numpy(windows[i : i + 32])).half().numpy() for i in range(0, len(windows), 32)]
    return np.concatenate(parts)


def shard_path(pool: Path, shard: int) -> Path:
    return pool / f"{shard:05d}.npz"


def save_shard(path: Path, logmel: NDArray[np.float16], scores: Samples, embedding: NDArray[np.float16]) -> None:
    """Write a shard whole or not at all."""
    part = path.with_suffix(".part.npz")
    np.savez(part, logmel=logmel, scores=scores.astype(np.float16), embedding=embedding)
    part.replace(path)
