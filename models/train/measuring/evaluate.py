"""How well a model hears recordings that it was not trained on: named clips, agreement with the teacher, time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from ..data.corpus import Corpus
from ..data.events import EVENTS, OF_ESC50
from ..data.labels import ALSO, ESC10, ESC50_NAMES, HOME, indices_of
from ..networks.frontend import WINDOW
from ..networks.network import CLASSES, Network
from . import metrics

Samples = NDArray[np.float32]
Scorer = Callable[[Samples], tuple[Samples, Samples, Samples]]
"""Windows [n, 15600] to probabilities [n, 521], of the events [n, events], and embeddings [n, dims]."""

HOP = 7_680
"""Samples from window to window: 0.48 s."""


def onnx_scorer(path: Path, batch: int = 16) -> Scorer:
    """A model file as a scorer, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def score(windows: Samples) -> tuple[Samples, Samples, Samples]:
        parts = [
            session.run(["probabilities", "embedding"], {"waveform": windows[i : i + batch]})
            for i in range(0, len(windows), batch)
        ]
        probabilities, embedding = (np.concatenate(column) for column in zip(*parts, strict=True))
        return probabilities[:, :CLASSES], probabilities[:, CLASSES:], embedding

    return score


def network_scorer(network: Network) -> Scorer:
    """A network in training as a scorer."""
    device = next(network.parameters()).device

    def score(windows: Samples) -> tuple[Samples, Samples, Samples]:
        parts = []
        with torch.inference_mode():
            for i in range(0, len(windows), 64):
                classes, events, embedding = network(torch.from_numpy(windows[i : i + 64]).to(device))
                answer = torch.sigmoid(classes), torch.sigmoid(events), embedding
                parts.append(tuple(values.cpu().numpy() for values in answer))
        classes, events, embedding = (np.concatenate(column) for column in zip(*parts, strict=True))
        return classes, events, embedding

    return score


def cut(samples: Samples, hop: int = HOP) -> Samples:
    """All whole windows [n, 15600] of a sound, at least one; zeros after a sound that is shorter."""
    if len(samples) < WINDOW:
        samples = np.pad(samples, (0, WINDOW - len(samples)))
    return np.array(np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::hop])


@dataclass(frozen=True, slots=True)
class Heard:
    """What a model says about recordings: of scores the mean over a recording's windows, of the embedding the maximum.

    A recording is silent for much of its time, which a mean of embeddings would tell more of than of the sound.
    """

    numbers: NDArray[np.int64]
    """[n] the recordings."""
    classes: Samples
    """[n, 521]"""
    events: Samples
    """[n, events]"""
    embedding: Samples
    """[n, dims]"""


def hear(score: Scorer, corpus: Corpus, numbers: Iterable[int]) -> Heard:
    """Run a model over whole recordings."""
    kept = list(numbers)
    answers = (score(cut(corpus.samples(number))) for number in kept)
    rows = [
        (classes.mean(axis=0), events.mean(axis=0), embedding.max(axis=0)) for classes, events, embedding in answers
    ]
    classes, events, embedding = (np.stack(column) for column in zip(*rows, strict=True))
    return Heard(np.array(kept), classes, events, embedding)


def esc50_figures(heard: Heard, corpus: Corpus, names: list[str], trained: Heard | None = None) -> dict[str, float]:
    """ESC-50 clips read through AudioSet names and through the events head, and by a linear probe on the embedding.

    The probe is trained on the clips of `trained`.
    """
    labels = [corpus.clips[n].label for n in heard.numbers]
    all50, ten = sorted(ESC50_NAMES), sorted(ESC10)
    named = {c: heard.classes[:, indices_of((*ESC50_NAMES[c], *ALSO.get(c, ())), names)].max(axis=1) for c in all50}
    of_ten = np.array([label in ESC10 for label in labels])
    events = heard.events[:, [OF_ESC50[c] for c in all50]]
    figures = {
        "esc50_zero_shot": _right(np.stack([named[c] for c in all50], 1), labels, all50),
        "esc10_zero_shot": _right(
            np.stack([named[c] for c in ten], 1)[of_ten], [label for label in labels if label in ESC10], ten
        ),
        "esc50_events": _right(events, labels, all50),
        "home_recall_named": _home_recall(np.stack([named[c] for c in all50], 1), labels, all50),
        "home_recall_events": _home_recall(events, labels, all50),
    }
    if max(Counter(labels).values()) > metrics.SHOTS:
        numbers = np.array([all50.index(label) for label in labels])
        figures["esc50_few_shot"] = metrics.few_shot(heard.embedding, numbers)
    if trained is not None:
        figures["esc50_probe"] = metrics.probe(
            trained.embedding, np.array([all50.index(corpus.clips[n].label) for n in trained.numbers]),
            heard.embedding, np.array([all50.index(label) for label in labels]),
        )  # fmt: skip
    return figures


def _right(scores: Samples, labels: list[str], order: list[str]) -> float:
    return float(np.mean([order[best] == label for best, label in zip(scores.argmax(axis=1), labels, strict=True)]))


def _home_recall(scores: Samples, labels: list[str], order: list[str]) -> float:
    """Mean over the home classes of the recall where 1 % of the other clips score higher."""
    truth = np.array(labels)
    wanted = [c for c in HOME if (truth == c).any()]
    return float(np.mean([metrics.recall_at(scores[:, order.index(c)], truth == c) for c in wanted]))


def named_precision(
    heard: Heard, corpus: Corpus, names: list[str], least: int = 3
) -> dict[str, tuple[float, float, int]]:
    """Average precision of events whose file names say them, over recordings of other sources than ESC-50.

    Through the first AudioSet name of the event, through the events head, and how many recordings there are.
    """
    truth = np.array([corpus.clips[n].event for n in heard.numbers])
    answer = {}
    for number, event in enumerate(EVENTS):
        positive = truth == number
        if event.surely and positive.sum() >= least:
            column = heard.classes[:, indices_of(event.surely[:1], names)[0]]
            by_name = metrics.average_precision(column, positive)
            by_event = metrics.average_precision(heard.events[:, number], positive)
            answer[event.name] = round(by_name, 3), round(by_event, 3), int(positive.sum())
    return answer


def numbers_of(corpus: Corpus, *, esc50: bool, split: str = "val") -> list[int]:
    """Recordings of a split, of ESC-50 or of every other source."""
    return [n for n, clip in enumerate(corpus.clips) if clip.split == split and (clip.source == "ESC-50") == esc50]


def judge_for(
    corpus: Corpus, names: list[str], teach: Callable[[Samples], Samples]
) -> Callable[[Network], dict[str, float]]:
    """A judge for use while training: agreement with the teacher, ESC-50 and named sounds, on what is held out."""
    others, clips = numbers_of(corpus, esc50=False), numbers_of(corpus, esc50=True)
    windows = np.concatenate([cut(corpus.samples(n), 2 * HOP)[:6] for n in others])
    return partial(
        quick_figures, corpus=corpus, names=names, others=others, clips=clips, windows=windows, taught=teach(windows)
    )


def quick_figures(
    network: Network, *, corpus: Corpus, names: list[str], others: list[int], clips: list[int], windows: Samples,
    taught: Samples,
) -> dict[str, float]:  # fmt: skip
    """The few figures worth having every few minutes."""
    score = network_scorer(network)
    by_name = named_precision(hear(score, corpus, others), corpus, names)
    figures = {"agreement": metrics.agreement(score(windows)[0], taught)}
    if clips:
        figures |= esc50_figures(hear(score, corpus, clips), corpus, names)
    figures["named_ap"] = float(np.mean([by for by, _, _ in by_name.values()]))
    figures["events_ap"] = float(np.mean([by for _, by, _ in by_name.values()]))
    return figures
