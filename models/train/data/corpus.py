"""The recordings: a manifest read into records, and all audio decoded once into one flat array."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
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
    kind: str = "event"
    """event, or what background it is: bg-speech, bg-music or bg-ambience."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """Every clip, with its audio in one array."""

    clips: tuple[Clip, ...]
    audio: NDArray[np.int16]
    """All clips end to end, mono."""
    bounds: NDArray[np.int64]
    """[clips + 1] sample index at which each clip starts; the last is the end."""
    digest: str
    """SHA-256 over the manifest and the decoded samples."""
    rate: int = SAMPLE_RATE
    """Hertz"""

    def samples(self, clip: int) -> Samples:
        """The clip's audio, float32 in [-1, 1]."""
        return self.slice(clip, 0, int(self.bounds[clip + 1] - self.bounds[clip]))

    def slice(self, clip: int, start: int, count: int) -> Samples:
        """Up to `count` samples of a clip from `start` on, float32 in [-1, 1]; fewer where the clip ends."""
        begin, end = int(self.bounds[clip]) + start, int(self.bounds[clip + 1])
        return self.audio[begin : min(begin + count, end)].astype(np.float32) / 32768.0

    @property
    def is_train(self) -> NDArray[np.bool_]:
        """[clips] which are of the train split."""
        return np.array([clip.split == "train" for clip in self.clips])

    def seconds(self, split: str) -> float:
        lengths = np.diff(self.bounds)
        return float(sum(n for n, c in zip(lengths, self.clips, strict=True) if c.split == split)) / SAMPLE_RATE


def read_manifest(data: Path, keep_out: Collection[str] = ()) -> tuple[Clip, ...]:
    """Clips listed in `data`/manifest.csv.

    Columns: path, source, original_path, licence, label, split (train or val), fold, seconds, kind. What `keep_out`
    names, a source or a fold, is moved to the val split whole.
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
                kind=row.get("kind") or "event",
            )
            for row in csv.DictReader(file)
        )


def load(data: Path, work: Path, keep_out: Collection[str] = (), rate: int = SAMPLE_RATE) -> Corpus:
    """The corpus of the folder `data` at `rate` hertz; decoded audio is kept in `work` and mapped from there."""
    clips = read_manifest(data, keep_out)
    store, facts = work / f"audio-{rate}.int16", work / f"audio-{rate}.npz"
    manifest_hash = hashlib.sha256((data / "manifest.csv").read_bytes()).hexdigest()
    if facts.exists():
        with np.load(facts) as kept:
            if str(kept["manifest"]) == manifest_hash:
                return Corpus(clips, np.memmap(store, np.int16, "r"), kept["bounds"], str(kept["digest"]), rate)
    facts.unlink(missing_ok=True)
    work.mkdir(parents=True, exist_ok=True)
    digest, lengths = hashlib.sha256(manifest_hash.encode()), [0]
    with store.open("wb") as file:
        for clip in track(clips, "decode audio"):
            piece = decode(data / clip.path, rate)
            file.write(piece.tobytes())
            digest.update(piece.tobytes())
            lengths.append(len(piece))
    bounds = np.cumsum(lengths, dtype=np.int64)
    np.savez(facts, bounds=bounds, manifest=manifest_hash, digest=digest.hexdigest())
    return Corpus(clips, np.memmap(store, np.int16, "r"), bounds, digest.hexdigest(), rate)


def decode(path: Path, rate: int = SAMPLE_RATE) -> NDArray[np.int16]:
    """A sound file as mono int16 at `rate` hertz.

    By FFmpeg, which reads long Opus files that libsndfile 1.2 takes for malformed.
    """
    with av.open(str(path)) as file:
        own = file.streams.audio[0].rate
        to_float = av.AudioResampler("fltp")
        parts = [part.to_ndarray() for frame in file.decode(audio=0) for part in to_float.resample(frame)]
    mono = np.concatenate(parts, axis=1).mean(axis=0) if parts else np.zeros(0, np.float32)
    if own != rate:
        mono = soxr.resample(mono, own, rate)
    return np.asarray(np.clip(mono, -1.0, 1.0) * 32767.0, np.int16)


def rooms(data: Path, rate: int, longest: float = 1.5) -> list[Samples]:
    """Impulse responses of the rooms in `data`/rooms.csv that decay by 60 dB within `longest` seconds, at `rate` hertz,
    from a millisecond before their direct sound on. None where there is no such list."""
    listed = data / "rooms.csv"
    if not listed.exists():
        return []
    with listed.open(newline="", encoding="utf-8") as file:
        paths = [data / row["path"] for row in csv.DictReader(file) if float(row["rt60_s"]) < longest]
    answers = [decode(path, rate).astype(np.float32) / 32768.0 for path in paths]
    return [answer[max(0, int(np.abs(answer).argmax()) - rate // 1000) :] for answer in answers]


def display_names(data: Path) -> list[str]:
    """AudioSet's 521 display names in the teacher's order, from `data`/teacher/yamnet_class_map.csv."""
    with (data / "teacher" / "yamnet_class_map.csv").open(newline="", encoding="utf-8") as file:
        return [row["display_name"] for row in csv.DictReader(file)]
