"""The pool: windows as a microphone in a home might hear them, each with both teachers' answers, in shards on disk.

Sounds are drawn and changed at 32 kHz, two seconds at a time: the second teacher hears all of that, YAMNet and the
student the window in the middle. A second of any recording is as likely as one of any other, so that speech, music and
the sounds of a home come as often as the recordings hold them. A shard is drawn from its own seed, so that it can be
made again, made by any worker, and resumed by leaving out those that are there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from ..data.corpus import Corpus
from ..networks.frontend import SAMPLE_RATE, WINDOW
from ..progress import bar
from ..sounds import augment, generators
from ..sounds.augment import LENGTH, RATE, Rng, Samples

SHARD = 2_048
"""Windows a shard."""
GENERATED = 0.08
"""Share of windows whose main sound comes from a generator."""
PLAIN = 0.5
"""Share of windows that only their level is changed of."""
LEAST = int(0.9 * RATE)
"""Samples that a shorter recording counts as when one is drawn."""
CLEAR = 5.0
"""Decibels by which a sound must stand out of what is mixed in, for its label to be relied on."""
MIDDLE = slice((LENGTH - 2 * WINDOW) // 2, (LENGTH + 2 * WINDOW) // 2)
"""Where the window is in the sound that is drawn."""

Teach = Callable[[Samples], tuple[Samples, Samples]]


@dataclass(frozen=True, slots=True)
class Example:
    """One window to be judged."""

    sound: Samples
    """[64000] at 32 kHz; the window is its middle."""
    clip: int
    """The recording that the main sound comes from, or -1."""
    beneath: int
    """The recording that is mixed in, or -1."""
    kind: int
    """The generator that the main sound comes from, or -1."""
    heard: bool
    """Whether the window holds the main sound, loud and clear."""


class Sampler:
    """Draws windows of the train split."""

    def __init__(self, corpus: Corpus, rooms: Sequence[Samples]) -> None:
        """`corpus` at 32 kHz; `rooms`: impulse responses of real rooms at 32 kHz."""
        self._corpus, self._rooms = corpus, rooms
        train = np.array([clip.split == "train" for clip in corpus.clips])
        background = np.array([clip.kind != "event" for clip in corpus.clips])
        length = np.maximum(np.diff(corpus.bounds), LEAST) * train
        self._any = np.cumsum(length)
        self._background = np.cumsum(length * background) if (length * background).any() else self._any
        self._loudest: dict[int, float] = {}

    def example(self, rng: Rng) -> Example:
        """A window of one sound as it is, or mixed with another, in a room, through a loudspeaker, in noise."""
        kind, clip = -1, -1
        if rng.random() < GENERATED:
            kind = generators.draw(rng)
            made = soxr.resample(generators.GENERATORS[kind].make(rng), SAMPLE_RATE, RATE)
            start = place(rng, len(made))
            sound = np.pad(made, LENGTH)[LENGTH + start : 2 * LENGTH + start]
            heard = is_loud(sound, loudest(made))
        else:
            clip = self._draw(rng, self._any)
            sound, heard = self._of_clip(rng, clip)
        if rng.random() < PLAIN or augment.level(sound[MIDDLE]) < augment.SILENT:
            return Example(sound * np.float32(augment.decibels(rng.uniform(-20.0, 3.0))), clip, -1, kind, heard)
        ratio, beneath = np.inf, -1
        if rng.random() < 0.25:
            sound = augment.change_speed(sound, float(rng.uniform(0.87, 1.15)))
        if rng.random() < 0.7:
            beneath = self._draw(rng, self._background if rng.random() < 0.7 else self._any)
            ratio = rng.uniform(-5.0, 20.0)
            sound = augment.mix(sound, self._of_clip(rng, beneath)[0], ratio)
        room = rng.random()
        if room < 0.4:
            real = self._rooms[int(rng.integers(len(self._rooms)))] if room < 0.3 and self._rooms else None
            sound = augment.in_room(sound, augment.room_answer(rng) if real is None else real)
        if rng.random() < 0.3:
            sound = augment.equalised(rng, sound)
        if rng.random() < 0.3:
            noise = rng.uniform(5.0, 40.0)
            sound, ratio = augment.add_noise(rng, sound, noise), min(ratio, noise)
        return Example(augment.scale(sound, rng.uniform(-40.0, 0.0)), clip, beneath, kind, heard and ratio >= CLEAR)

    def _draw(self, rng: Rng, chances: NDArray[np.float64]) -> int:
        return int(np.searchsorted(chances, rng.random() * chances[-1], side="right"))

    def _of_clip(self, rng: Rng, clip: int) -> tuple[Samples, bool]:
        """Two seconds of a recording, and whether the window in their middle is among its loud ones."""
        count = int(self._corpus.bounds[clip + 1] - self._corpus.bounds[clip])
        start = place(rng, count)
        sound = np.zeros(LENGTH, np.float32)
        inside = self._corpus.slice(clip, max(0, start), LENGTH - max(0, -start))
        sound[max(0, -start) : max(0, -start) + len(inside)] = inside
        if clip not in self._loudest:
            self._loudest[clip] = loudest(self._corpus.samples(clip))
        return sound, is_loud(sound, self._loudest[clip])


def place(rng: Rng, count: int) -> int:
    """Where in a sound of `count` samples two seconds begin, so that the window in their middle lies anywhere in a long
    sound, and a short one anywhere in the window."""
    short = min(count, 2 * WINDOW) // 2
    middle = int(rng.integers(short, max(short, count - short) + 1))
    if count < 2 * WINDOW:
        middle += int(rng.integers(-(WINDOW - short), WINDOW - short + 1))
    return middle - LENGTH // 2


def is_loud(sound: Samples, most: float) -> bool:
    """Whether the window in the middle of a sound is at least half as loud as `most`."""
    return augment.level(sound[MIDDLE]) >= max(0.5 * most, augment.SILENT)


def loudest(samples: Samples) -> float:
    """Highest root mean square of any of the windows that lie end to end in a sound at 32 kHz."""
    if len(samples) < 2 * WINDOW:
        samples = np.pad(samples, (0, 2 * WINDOW - len(samples)))
    power = np.square(samples[: len(samples) // (2 * WINDOW) * 2 * WINDOW]).reshape(-1, 2 * WINDOW).mean(axis=1)
    return float(np.sqrt(power.max()))


def label(
    sampler: Sampler, teacher: Teach, second: Teach, pool: Path, shards: Sequence[int], seed: int, batch: int = 8
) -> None:
    """Make those of the numbered shards that `pool` lacks. Safe to stop at any time.

    `teacher`: one window [15600] at 16 kHz to scores [521] and embedding; `second`: sounds [n, 64000] at 32 kHz to
    logits [n, 521] and embeddings.
    """
    pool.mkdir(parents=True, exist_ok=True)
    missing = [shard for shard in shards if not shard_path(pool, shard).exists()]
    with bar() as progress:
        task = progress.add_task("label windows", total=len(missing) * SHARD, note="")
        for shard in missing:
            rng = np.random.default_rng((seed, shard))
            rows: list[tuple[object, ...]] = []
            while len(rows) < SHARD:
                drawn = [sampler.example(rng) for _ in range(min(batch, SHARD - len(rows)))]
                sounds = np.clip(np.stack([example.sound for example in drawn]), -1.0, 1.0).astype(np.float32)
                for example, sound, far in zip(drawn, sounds, second(sounds)[0], strict=True):
                    waveform = as_heard(sound)
                    scores, embedding = teacher(waveform.astype(np.float32) / 32768.0)
                    facts = example.clip, example.beneath, example.kind, example.heard
                    rows.append((waveform, logit(scores), embedding, far, *facts))
                    progress.advance(task)
            save_shard(shard_path(pool, shard), rows)


def as_heard(sound: Samples) -> NDArray[np.int16]:
    """The window int16 [15600] at 16 kHz in the middle of a sound [64000] at 32 kHz."""
    narrow = soxr.resample(sound, RATE, SAMPLE_RATE)
    first = (len(narrow) - WINDOW) // 2
    return np.asarray(np.clip(narrow[first : first + WINDOW], -1.0, 1.0) * 32767.0, np.int16)


def logit(scores: Samples) -> Samples:
    """Log-odds, at most 15 either way."""
    kept = np.clip(scores.astype(np.float64), 1e-7, 1.0 - 1e-7)
    return np.asarray(np.clip(np.log(kept / (1.0 - kept)), -15.0, 15.0), np.float32)


COLUMNS = {
    "waveform": np.int16,
    "near": np.float16,
    "embedding": np.float16,
    "far": np.float16,
    "clip": np.int32,
    "beneath": np.int32,
    "kind": np.int16,
    "heard": np.bool_,
}
"""What a shard holds: windows [n, 15600] at full scale 32768; YAMNet's logits [n, 521] of the window and its embedding
[n, 1024]; mn04's logits [n, 521] of the two seconds around it; and of what is in the window the
recording of the main sound, the recording mixed in, the generator (-1: none), and whether the main one is heard."""


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
