"""The pool: augmented windows, each with the teacher's answer to exactly that window, in shards on disk.

A shard is drawn from its own seed, so that it can be made again, made by any worker, and resumed by leaving out those
that are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.corpus import Corpus
from ..networks.frontend import WINDOW
from ..networks.network import CLASSES
from ..progress import bar, track
from ..sounds import augment, generators
from ..sounds.augment import Rng, Samples
from .teacher import Teacher

SHARD = 2_048
"""Windows a shard."""
STEP = 7_800
"""Samples from one surveyed window of a recording to the next."""
GENERATED = 0.10
"""Share of windows whose main sound comes from a generator."""
LABELLED = 0.3
"""Share of the recorded windows drawn from the recordings whose event is known, every event as often."""
ENOUGH = 12
"""Recordings of an event below which it is drawn less often: not to learn a few of them by heart."""
PLAIN = 0.15
"""Share of windows left as they are."""
QUIET = 0.003
"""Root mean square below which a window stays as quiet as it is: homes are silent most of the time."""
CLEAR = 5.0
"""Decibels by which a sound must stand out of what is mixed in, for its label to be relied on."""


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
    clip: int
    """The recording that the main sound comes from, or -1."""
    kind: int
    """The generator that the main sound comes from, or -1."""
    heard: bool
    """Whether the window holds the main sound, loud and clear."""


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
    """[n] chance of each surveyed window of the train split.

    By what the teacher hears, rare classes up and long recordings down; and by event, the loud windows of each of its
    recordings as often as those of any other.
    """
    train = np.array([clip.split == "train" for clip in corpus.clips])[found.clip]
    scores = found.scores.astype(np.float64) * train[:, None]
    mass = scores.sum(axis=0)
    rarity = scores @ (1.0 / np.maximum(mass, 3.0) ** 0.65)
    per_clip = np.bincount(found.clip, minlength=len(corpus.clips))[found.clip]
    heard = train * (rarity + 0.02 * rarity[train].mean()) / np.sqrt(per_clip)
    events = np.array([clip.event for clip in corpus.clips])[found.clip]
    loud = (found.level >= 0.5 * loudest(corpus, found)[found.clip]) & train & (events >= 0)
    known = loud / np.maximum(np.bincount(found.clip, loud, len(corpus.clips)), 1.0)[found.clip]
    known /= np.maximum(np.bincount(events + 1, known), ENOUGH)[events + 1]
    return np.asarray((1.0 - LABELLED) * heard / heard.sum() + LABELLED * known / max(known.sum(), 1e-9))


def loudest(corpus: Corpus, found: Survey) -> NDArray[np.float32]:
    """[clips] highest level of any surveyed window of each recording."""
    answer = np.zeros(len(corpus.clips), np.float32)
    np.maximum.at(answer, found.clip, found.level)
    return answer


def loudest_half(windows: Samples, clips: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which windows [n, 15600] are at least half as loud as the loudest of the recording [n] that they come from."""
    levels = np.sqrt(np.mean(np.square(windows), axis=1))
    most = np.zeros(clips.max() + 1, np.float32)
    np.maximum.at(most, clips, levels)
    return np.asarray(levels >= np.maximum(0.5 * most[clips], augment.SILENT))


class Sampler:
    """Draws augmented windows of the train split."""

    def __init__(self, corpus: Corpus, found: Survey) -> None:
        self._corpus = corpus
        self._survey = found
        self._cumulative = np.cumsum(weights(corpus, found))
        self._loudest = loudest(corpus, found)

    def example(self, rng: Rng) -> Example:
        """A window as a microphone in a home might hear it."""
        drawn = self._generated(rng) if rng.random() < GENERATED else self._recorded(rng)
        base = drawn.window
        if rng.random() < PLAIN or augment.level(base) < QUIET:
            return drawn
        ratio = np.inf
        if rng.random() < 0.45:
            ratio = rng.uniform(-5.0, 20.0)
            base = augment.mix(base, self._recorded(rng).window, ratio)
        base = augment.colour(rng, base, room=rng.random() < 0.4, equalise=rng.random() < 0.5)
        if rng.random() < 0.4:
            noise = rng.uniform(5.0, 40.0)
            base = augment.add_noise(rng, base, noise)
            ratio = min(ratio, noise)
        base = augment.scale(base, rng.uniform(-32.0, 0.0))
        return replace(drawn, window=base, heard=drawn.heard and ratio >= CLEAR)

    def _generated(self, rng: Rng) -> Example:
        kind = generators.draw(rng)
        sound = generators.GENERATORS[kind].make(rng)
        start = int(rng.integers(max(1, len(sound) - WINDOW + 1)))
        window = np.zeros(WINDOW, np.float32)
        cut = sound[start : start + WINDOW]
        window[: len(cut)] = cut
        return Example(window, -1, kind, augment.level(window) > 0.5 * augment.level(sound))

    def _recorded(self, rng: Rng) -> Example:
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
        return Example(window, clip, -1, augment.level(window) > max(0.5 * self._loudest[clip], augment.SILENT))


def label(sampler: Sampler, teacher: Teacher, pool: Path, shards: Sequence[int], seed: int) -> None:
    """Make those of the numbered shards that `pool` lacks. Safe to stop at any time."""
    pool.mkdir(parents=True, exist_ok=True)
    missing = [shard for shard in shards if not shard_path(pool, shard).exists()]
    with bar() as progress:
        task = progress.add_task("label windows", total=len(missing) * SHARD, note="")
        for shard in missing:
            rng = np.random.default_rng((seed, shard))
            rows = []
            for _ in range(SHARD):
                example = sampler.example(rng)
                waveform = np.asarray(np.clip(example.window, -1.0, 1.0) * 32767.0, np.int16)
                scores, embedding = teacher(waveform.astype(np.float32) / 32768.0)
                rows.append((waveform, scores, embedding, example.clip, example.kind, example.heard))
                progress.advance(task)
            save_shard(shard_path(pool, shard), rows)


COLUMNS = {
    "waveform": np.int16,
    "scores": np.float16,
    "embedding": np.float16,
    "clip": np.int32,
    "kind": np.int16,
    "heard": np.bool_,
}
"""What a shard holds: windows [n, 15600] at full scale 32768, the teacher's scores [n, 521] and embedding [n, 1024],
and of each window's main sound its recording, its generator (-1: none), and whether it is heard."""


def shard_path(pool: Path, shard: int) -> Path:
    return pool / f"{shard:05d}.npz"


def save_shard(path: Path, rows: Sequence[tuple[object, ...]]) -> None:
    """Write a shard whole or not at all."""
    part = path.with_suffix(".part.npz")
    arrays: dict[str, Any] = {
        key: np.array(column, kind)
        for (key, kind), column in zip(COLUMNS.items(), zip(*rows, strict=True), strict=True)
    }
    np.savez(part, **arrays)
    part.replace(path)
