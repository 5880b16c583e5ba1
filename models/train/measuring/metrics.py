"""Figures of merit, as pure functions of scores."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

Samples = NDArray[np.float32]
Flags = NDArray[np.bool_]

SHOTS = 5
"""Examples of a sound that a household has the patience to record."""


def average_precision(scores: Samples, positive: Flags) -> float:
    """Area under precision over recall of one class's scores [windows], at least one of them positive."""
    hits = positive[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())


def agreement(scores: Samples, taught: Samples, least: int = 5) -> float:
    """Mean average precision against the teacher's own detections (score of 0.5 or more).

    Over the classes that the teacher detects in at least `least` windows; both arrays are [n, 521].
    """
    found = taught >= 0.5
    classes = np.flatnonzero(found.sum(axis=0) >= least)
    return float(np.mean([average_precision(scores[:, c], found[:, c]) for c in classes]))


def recall_at(score: Samples, positive: Flags, false: float = 0.01) -> float:
    """Share of the positives above the score that the share `false` of the negatives reaches."""
    return float((score[positive] > np.quantile(score[~positive], 1.0 - false)).mean())


def probe(
    train: Samples, train_label: NDArray[np.int64], test: Samples, test_label: NDArray[np.int64], decay: float = 1e-3
) -> float:
    """Accuracy of multinomial logistic regression on embeddings [n, dims]; `decay` weighs the squared weights."""
    x, y = torch.from_numpy(train), torch.from_numpy(train_label)
    weight = torch.zeros(x.shape[1], int(train_label.max()) + 1, requires_grad=True)
    bias = torch.zeros(weight.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> float:
        optimizer.zero_grad()
        total = functional.cross_entropy(x @ weight + bias, y) + decay * weight.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total.item()

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    with torch.inference_mode():
        answer = (torch.from_numpy(test) @ weight + bias).argmax(dim=1).numpy()
    return float((answer == test_label).mean())


def few_shot(embedding: Samples, label: NDArray[np.int64], shots: int = SHOTS, draws: int = 20, seed: int = 0) -> float:
    """Accuracy of the nearest mean of `shots` random examples a class, by the cosine, on the others; mean of `draws`.

    `embedding`: [n, dims]; classes with no more than `shots` examples are left out.
    """
    classes = [c for c in np.unique(label) if (label == c).sum() > shots]
    unit = embedding / np.maximum(np.linalg.norm(embedding, axis=1, keepdims=True), 1e-9)
    rng, found = np.random.default_rng(seed), []
    for _ in range(draws):
        shuffled = [rng.permutation(np.flatnonzero(label == c)) for c in classes]
        means = np.stack([unit[rows[:shots]].mean(axis=0) for rows in shuffled])
        means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
        right = [(unit[rows[shots:]] @ means.T).argmax(axis=1) == number for number, rows in enumerate(shuffled)]
        found.append(np.concatenate(right).mean())
    return float(np.mean(found))
