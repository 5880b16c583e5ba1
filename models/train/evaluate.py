"""How well a model hears: named clips, agreement with the teacher, alarms, false alarms, time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from . import generators
from .corpus import Corpus
from .frontend import WINDOW
from .labels import ALSO, ESC10, ESC50_NAMES, indices_of
from .network import Listener, Student

Samples = NDArray[np.float32]
Scorer = Callable[[Samples], Samples]
"""Probabilities [n, 521] of windows [n, 15600]."""

HOP = 7_680
"""Samples from window to window: 0.48 s."""
HOME = ("Speech", "Baby cry, infant cry", "Dog", "Cat", "Music", "Water", "Explosion", "Knock", "Glass", "Siren")
"""Classes frequent enough, or important enough, for a figure of their own."""
WATCHED = ("Smoke detector, smoke alarm", "Siren", "Glass", "Baby cry, infant cry", "Doorbell", "Knock")


def onnx_scorer(path: Path) -> Scorer:
    """A bundled model file as a scorer, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def score(windows: Samples) -> Samples:
        batches = (windows[i : i + 16] for i in range(0, len(windows), 16))
        return np.concatenate([session.run(["probabilities"], {"waveform": batch})[0] for batch in batches])

    return score


def network_scorer(student: Student) -> Scorer:
    """A network in training as a scorer."""
    listener = Listener(student).eval()

    def score(windows: Samples) -> Samples:
        batches = (torch.from_numpy(windows[i : i + 64]) for i in range(0, len(windows), 64))
        with torch.inference_mode():
            return np.concatenate([listener(batch)[0].numpy() for batch in batches])

    return score


def cut(samples: Samples, hop: int = HOP) -> Samples:
    """All whole windows [n, 15600] of a sound, at least one; zeros after a sound that is shorter."""
    if len(samples) < WINDOW:
        samples = np.pad(samples, (0, WINDOW - len(samples)))
    return np.array(np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::hop])


def zero_shot(score: Scorer, corpus: Corpus, names: list[str], classes: Iterable[str], folds: range) -> float:
    """Share of ESC-50 clips whose best-scoring class, read through AudioSet names, is the right one.

    A clip's score for a name is the mean over its windows; a class's is the best of its names.
    """
    wanted = sorted(classes)
    columns = [indices_of((*ESC50_NAMES[name], *ALSO.get(name, ())), names) for name in wanted]
    right = []
    for number, clip in enumerate(corpus.clips):
        if clip.label in wanted and clip.fold in folds:
            mean = score(cut(corpus.samples(number))).mean(axis=0)
            best = int(np.argmax([mean[column].max() for column in columns]))
            right.append(wanted[best] == clip.label)
    return float(np.mean(right))


def average_precision(score: Samples, positive: NDArray[np.bool_]) -> float:
    """Area under precision over recall, of one class."""
    hits = positive[np.argsort(-score, kind="stable")]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())


def agreement(scores: Samples, taught: Samples, least: int = 5) -> float:
    """Mean average precision against the teacher's own detections (score of 0.5 or more).

    Over the classes that the teacher detects in at least `least` windows; both arrays are [n, 521].
    """
    found = taught >= 0.5
    classes = np.flatnonzero(found.sum(axis=0) >= least)
    return float(np.mean([average_precision(scores[:, c], found[:, c]) for c in classes]))


def held_out(corpus: Corpus) -> tuple[Samples, NDArray[np.int64]]:
    """Windows [n, 15600] of the val split at a 0.48 s hop, and the clip [n] that each comes from."""
    numbers = [number for number, clip in enumerate(corpus.clips) if clip.split == "val"]
    pieces = [cut(corpus.samples(number)) for number in numbers]
    return np.concatenate(pieces), np.repeat(numbers, [len(piece) for piece in pieces])


def responses(score: Scorer, names: list[str], draws: int = 20) -> dict[str, dict[str, float]]:
    """For each generated sound, the median over draws of the highest score: its own names, and the five strongest."""
    answer = {}
    for kind in generators.GENERATORS:
        sounds = [kind.make(np.random.default_rng(seed)) for seed in range(draws)]
        peaks = np.median([score(cut(sound)).max(axis=0) for sound in sounds], axis=0)
        strongest = [i for i in np.argsort(-peaks)[:6] if names[i] != "Silence"]  # every pause is silent
        shown = [*indices_of(kind.names, names), *strongest[:5]]
        answer[kind.make.__name__] = {names[i]: round(float(peaks[i]), 3) for i in shown}
    return answer


def false_alarms(
    scores: Samples, taught: Samples, clips: NDArray[np.int64], corpus: Corpus, names: list[str]
) -> dict[str, float]:
    """99.9th percentile of each watched class over held-out windows of other sounds.

    Other sounds: the teacher sees no trace of the class (below 0.1) and the recording's name does not say it.
    """
    answer = {}
    for name, column in zip(WATCHED, indices_of(WATCHED, names), strict=True):
        named = np.array([name in corpus.clips[clip].names for clip in clips])
        others = scores[(taught[:, column] < 0.1) & ~named, column]
        answer[name] = round(float(np.quantile(others, 0.999)), 3)
    return answer


def recall(scores: Samples, taught: Samples, names: list[str], wanted: Sequence[str]) -> dict[str, tuple[float, int]]:
    """Share of the windows in which the teacher detects a class (0.5) that the model gives 0.25; and their number."""
    answer = {}
    for name, column in zip(wanted, indices_of(wanted, names), strict=True):
        found = taught[:, column] >= 0.5
        if found.any():
            answer[name] = round(float((scores[found, column] >= 0.25).mean()), 3), int(found.sum())
    return answer


def silence(score: Scorer, names: list[str]) -> dict[str, float]:
    """Every class above 0.05 on digital silence."""
    row = score(np.zeros((1, WINDOW), np.float32))[0]
    return {names[i]: round(float(row[i]), 3) for i in np.argsort(-row) if row[i] > 0.05}


def milliseconds(runners: Mapping[str, Callable[[Samples], object]], rounds: int = 400) -> dict[str, float]:
    """Median time of one window for each runner, taken in turns so that a busy machine is unfair to none."""
    window = np.random.default_rng(0).normal(0.0, 0.1, WINDOW).astype(np.float32)
    times: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(rounds):
        for name, run in runners.items():
            begin = time.perf_counter()
            run(window)
            times[name].append(1e3 * (time.perf_counter() - begin))
    return {name: round(float(np.median(taken[20:])), 3) for name, taken in times.items()}


def all_figures(
    score: Scorer, teacher: Callable[[Samples], tuple[Samples, Samples]], corpus: Corpus, names: list[str]
) -> dict[str, object]:
    """Every figure of the card, the teacher's beside the model's."""

    def teach(windows: Samples) -> Samples:
        return np.stack([teacher(window)[0] for window in windows])

    folds = range(1, 4)
    windows, clips = held_out(corpus)
    scores, taught = score(windows), teach(windows)
    return {
        "esc10_folds_1_3": {key: zero_shot(s, corpus, names, ESC10, folds) for key, s in pair(score, teach)},
        "esc50_folds_1_3": {key: zero_shot(s, corpus, names, ESC50_NAMES, folds) for key, s in pair(score, teach)},
        "held_out": {"recordings": len(np.unique(clips)), "windows": len(windows)},
        "agreement_map": agreement(scores, taught),
        "false_alarms_p99_9": false_alarms(scores, taught, clips, corpus, names),
        "recall_0_25": recall(scores, taught, names, HOME),
        "responses": {key: responses(s, names) for key, s in pair(score, teach)},
        "silence": silence(score, names),
        "milliseconds": milliseconds({"model": lambda w: score(w[None]), "teacher": teacher}),
    }


def pair(model: Scorer, teacher: Scorer) -> tuple[tuple[str, Scorer], tuple[str, Scorer]]:
    return ("model", model), ("teacher", teacher)


def judge_for(
    corpus: Corpus, names: list[str], teach: Callable[[Samples], Samples]
) -> Callable[[Student], dict[str, float]]:
    """A quick judge for use while training: agreement on held-out windows, ESC-10, silence."""
    windows, _ = held_out(corpus)
    windows = windows[::2]
    taught = teach(windows)
    return partial(quick_figures, corpus=corpus, names=names, windows=windows, taught=taught)


def quick_figures(
    student: Student, *, corpus: Corpus, names: list[str], windows: Samples, taught: Samples
) -> dict[str, float]:
    """The few figures worth having every few minutes."""
    score = network_scorer(student)
    quiet = score(np.zeros((1, WINDOW), np.float32))[0]
    loudest = max(value for name, value in zip(names, quiet, strict=True) if name != "Silence")
    return {
        "agreement": agreement(score(windows), taught),
        "esc10": zero_shot(score, corpus, names, ESC10, range(1, 4)),
        "silence": float(quiet[names.index("Silence")]),
        "not_silence": float(loudest),
    }
