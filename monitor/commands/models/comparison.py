"""How far the answers of a model file are from those of what it was made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.classify.model import Answer, Model
from monitor.messages import Samples

if TYPE_CHECKING:
    from monitor.zoo.quantize import Drift


def alone(model: Model, waveforms: Samples) -> Answer:
    """The answers to float32[n, samples], each row on its own."""
    rows = [model.run(row[None]) for row in waveforms]
    embeddings = [embedding for _, embedding in rows if embedding is not None]
    return np.concatenate([scores for scores, _ in rows]), np.concatenate(embeddings) if embeddings else None


def largest_difference(given: Answer, wanted: Answer) -> float:
    """Of the probabilities, and of the embeddings in shares of the largest value, where both have some."""
    (scores, embeddings), (wanted_scores, wanted_embeddings) = given, wanted
    difference = float(np.abs(scores - wanted_scores).max())
    if embeddings is None or wanted_embeddings is None:
        return difference
    scale = max(1.0, float(np.abs(wanted_embeddings).max()))
    return max(difference, float(np.abs(embeddings - wanted_embeddings).max()) / scale)


def told(drift: Drift) -> str:
    """The figures of an 8-bit model in words."""
    return (
        f"on {drift.windows} windows its scores differ from the float model's by {drift.mean:.4f} in the mean, "
        f"{drift.largest:.2f} at most; the best class is the same in {drift.top1:.0%}"
    )
