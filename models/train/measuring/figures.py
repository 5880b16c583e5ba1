"""Every figure of a model card."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..data.corpus import Corpus
from ..data.events import EVENT_NAMES, EVENTS
from ..data.labels import indices_of
from ..learning.teacher import Teacher
from ..networks.frontend import WINDOW
from ..sounds import generators
from ..sounds.augment import SILENT, level
from . import metrics
from .evaluate import HOP, Heard, Scorer, cut, esc50_figures, hear, named_precision, numbers_of

Samples = NDArray[np.float32]
Precision = tuple[float, float | None, int]
"""Average precision through an AudioSet name and through the events, and how many recordings there are."""

HARD = {
    "siren": ("Siren", ("Emergency siren",)),
    "alarm": ("Alarm", ("Smoke alarm", "Alarm clock ringing", "Alarm sounding")),
    "bell": ("Bell", ("Bell ringing", "Chimes", "Church bells")),
    "scream": ("Screaming", ("Person screaming",)),
    "laughter": ("Laughter", ("Laughing",)),
    "aircraft": ("Aircraft", ("Airplane flying", "Helicopter flying")),
    "fire": ("Fire", ("Fire crackling",)),
}
"""Sounds that the teacher hears badly, by their AudioSet name and by the events that they are."""
WATCHED = ("Smoke detector, smoke alarm", "Siren", "Glass", "Baby cry, infant cry", "Doorbell", "Knock")


def some_windows(corpus: Corpus, count: int, seed: int) -> Samples:
    """Windows [count, 15600] of the train split at random, each of another recording, none of them silent."""
    rng = np.random.default_rng(seed)
    found: list[Samples] = []
    for number in rng.permutation(np.flatnonzero(corpus.is_train)):
        windows = cut(corpus.samples(int(number)), HOP)
        chosen = windows[int(rng.integers(len(windows)))]
        if level(chosen) > SILENT:
            found.append(chosen)
        if len(found) == count:
            break
    return np.stack(found)


def all_figures(score: Scorer, teacher: Teacher, corpus: Corpus, names: list[str]) -> dict[str, object]:
    """Every figure of the card, on what is held out."""
    others, clips = numbers_of(corpus, esc50=False), numbers_of(corpus, esc50=True)
    windows = np.concatenate([cut(corpus.samples(n))[:10] for n in others])
    taught = np.stack([teacher(window)[0] for window in windows])
    scores = score(windows)[0]
    named = hear(score, corpus, others)
    figures: dict[str, object] = {
        "held_out": {"recordings": len(others), "windows": len(windows), "esc50_clips": len(clips)},
        "agreement_map": metrics.agreement(scores, taught),
        "named": named_precision(named, corpus, names),
        "false_alarms_p99_9": false_alarms(scores, taught, names),
        "responses": responses(score, names),
        "silence": silence(score, names),
        "milliseconds": milliseconds({"model": lambda w: score(w[None]), "teacher": teacher}),
    }
    seen = numbers_of(corpus, esc50=True, split="train")
    if clips:
        heard = hear(score, corpus, clips)
        figures["esc50"] = esc50_figures(heard, corpus, names, hear(score, corpus, seen))
        figures["hard"] = hard_precision([named, heard], corpus, names)
    figures["teacher"] = teacher_figures(teacher, corpus, names, others, clips, seen)
    return figures


def teacher_figures(
    teacher: Teacher, corpus: Corpus, names: list[str], others: list[int], clips: list[int], seen: list[int]
) -> dict[str, object]:
    """The same of the teacher, which knows no events."""

    def score(windows: Samples) -> tuple[Samples, Samples, Samples]:
        classes, embedding = (np.stack(part) for part in zip(*(teacher(window) for window in windows), strict=True))
        return classes, np.zeros((len(windows), len(EVENTS)), np.float32), embedding

    other = hear(score, corpus, others)
    figures: dict[str, object] = {"named": by_name(named_precision(other, corpus, names))}
    if clips:
        heard = hear(score, corpus, clips)
        found = esc50_figures(heard, corpus, names, hear(score, corpus, seen))
        figures["esc50"] = {key: value for key, value in found.items() if not key.endswith("_events")}
        figures["hard"] = by_name(hard_precision([other, heard], corpus, names))
    return figures


def by_name(found: Mapping[str, Precision]) -> dict[str, Precision]:
    """The same of a model that knows no events."""
    return {name: (by, None, count) for name, (by, _, count) in found.items()}


def hard_precision(heard: Sequence[Heard], corpus: Corpus, names: list[str]) -> dict[str, Precision]:
    """Average precision of `HARD` sounds among all that is held out."""
    truth = np.array([corpus.clips[n].event for part in heard for n in part.numbers])
    classes, events = (np.concatenate(parts) for parts in zip(*((p.classes, p.events) for p in heard), strict=True))
    answer: dict[str, Precision] = {}
    for sound, (name, of) in HARD.items():
        columns = [EVENT_NAMES.index(event) for event in of]
        positive = np.isin(truth, columns)
        if positive.any():
            named = metrics.average_precision(classes[:, names.index(name)], positive)
            event = metrics.average_precision(events[:, columns].max(axis=1), positive)
            answer[sound] = round(named, 3), round(event, 3), int(positive.sum())
    return answer


def false_alarms(scores: Samples, taught: Samples, names: list[str]) -> dict[str, float]:
    """99.9th percentile of each watched class over held-out windows in which the teacher sees no trace of it."""
    answer = {}
    for name, column in zip(WATCHED, indices_of(WATCHED, names), strict=True):
        answer[name] = round(float(np.quantile(scores[taught[:, column] < 0.1, column], 0.999)), 3)
    return answer


def responses(score: Scorer, names: list[str]) -> dict[str, dict[str, float]]:
    """To each kind of generated sound, drawn 20 times: the median highest score of its names and of the top five."""
    answer = {}
    for kind in generators.GENERATORS:
        rng = np.random.default_rng(99)
        peaks = np.median([score(cut(kind.make(rng), HOP // 2))[0].max(axis=0) for _ in range(20)], axis=0)
        shown = dict.fromkeys([*indices_of(kind.names, names), *np.argsort(-peaks)[:5].tolist()])
        answer[kind.make.__name__] = {names[i]: round(float(peaks[i]), 3) for i in shown}
    return answer


def silence(score: Scorer, names: Sequence[str]) -> dict[str, float]:
    """Every class above 0.05 on digital silence."""
    row = score(np.zeros((1, WINDOW), np.float32))[0][0]
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
