"""The recordings: a manifest read into records, and all audio decoded once into one flat array."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from ..networks.frontend import SAMPLE_RATE
from ..progress import track
from .events import event_of

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording of the manifest."""

    path: str
    """Relative to the data folder."""
    source: str
    licence: str
    label: str
    """ESC-50 class, or empty."""
    split: str
    """train or val."""
    fold: int
    """ESC-50 fold, 0 for every other source."""
    event: int
    """Number of the event that the label or the file name plainly says, or -1."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """Every clip, with its audio in one array."""

    clips: tuple[Clip, ...]
    audio: NDArray[np.int16]
    """All clips end to end, 16 kHz mono."""
    bounds: NDArray[np.int64]
    """[clips + 1] sample index at which each clip starts; the last is the end."""
    digest: str
    """SHA-256 over the manifest and the decoded samples."""

    def samples(self, clip: int) -> Samples:
        """The clip's audio, float32 in [-1, 1]."""
        return self.slice(clip, 0, int(self.bounds[clip + 1] - self.bounds[clip]))

    def slice(self, clip: int, start: int, count: int) -> Samples:
        """Up to `count` samples of a clip from `start` on, float32 in [-1, 1]; fewer where the clip ends."""
        begin, end = int(self.bounds[clip]) + start, int(self.bounds[clip + 1])
        return self.audio[begin : min(begin + count, end)].astype(np.float32) / 32768.0

    def seconds(self, split: str) -> float:
        lengths = np.diff(self.bounds)
        return float(sum(n for n, c in zip(lengths, self.clips, strict=True) if c.split == split)) / SAMPLE_RATE


def read_manifest(data: Path, keep_out: Collection[str] = ()) -> tuple[Clip, ...]:
    """Clips listed in `data`/manifest.csv.

    Columns: path, source, original_path, licence, label, split (train or val), fold, seconds. What `keep_out` names, a
    source or a fold, is moved to the val split whole.
    """
    with (data / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return tuple(
            Clip(
                path=row["path"],
                source=row["source"],
                licence=row["licence"],
                label=row["label"],
                split="val" if row["source"] in keep_out or row["fold"] in keep_out else row["split"],
                fold=int(row["fold"] or 0),
                event=event_of(row["label"], row["original_path"]),
            )
            for row in csv.DictReader(file)
        )


def load(data: Path, work: Path, keep_out: Collection[str] = ()) -> Corpus:
    """The corpus of the folder `data`; decoded audio is kept in `work` and read from there the next time."""
    clips = read_manifest(data, keep_out)
    store = work / "audio.npz"
    manifest_hash = hashlib.sha256((data / "manifest.csv").read_bytes()).hexdigest()
    if store.exists():
        with np.load(store) as kept:
            if str(kept["manifest"]) == manifest_hash:
                return Corpus(clips, kept["audio"], kept["bounds"], str(kept["digest"]))
    pieces = [decode(data / clip.path) for clip in track(clips, "decode audio")]
    audio = np.concatenate(pieces)
    bounds = np.cumsum([0, *(len(piece) for piece in pieces)], dtype=np.int64)
    digest = hashlib.sha256(manifest_hash.encode() + audio.tobytes()).hexdigest()
    work.mkdir(parents=True, exist_ok=True)
    part = work / "audio.part.npz"
    np.savez(part, audio=audio, bounds=bounds, manifest=manifest_hash, digest=digest)
    part.replace(store)
    return Corpus(clips, audio, bounds, digest)


def decode(path: Path) -> NDArray[np.int16]:
    """A sound file as 16 kHz mono int16."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    if rate != SAMPLE_RATE:
        mono = soxr.resample(mono, rate, SAMPLE_RATE)
    return np.asarray(np.clip(mono, -1.0, 1.0) * 32767.0, np.int16)


def display_names(data: Path) -> list[str]:
    """AudioSet's 521 display names in the teacher's order, from `data`/teacher/yamnet_class_map.csv."""
    with (data / "teacher" / "yamnet_class_map.csv").open(newline="", encoding="utf-8") as file:
        return [row["display_name"] for row in csv.DictReader(file)]
