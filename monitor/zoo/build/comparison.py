"""How far the answers of a model file are from those of what it was made of."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from monitor.classify.open import describe_model
from monitor.messages import Samples
from monitor.zoo.build.compare import drift, likeness


def alone(run: Callable[[Samples], Sequence[Samples | None]], waveforms: Samples) -> list[Samples]:
    """The answers to float32[n, samples], each row on its own, without those that are not given."""
    rows = [run(row[None]) for row in waveforms]
    return [np.concatenate(parts) for parts in zip(*rows, strict=True) if parts[0] is not None]


def largest_difference(given: Sequence[Samples], wanted: Sequence[Samples]) -> float:
    """Of probabilities as it is, and of embeddings, which may be greater than 1, in shares of their largest value."""
    return max(
        float(np.abs(one - other).max()) / max(1.0, float(np.abs(other).max()))
        for one, other in zip(given, wanted, strict=True)
    )


def drifted(float_path: Path, int8_path: Path, windows: Sequence[Samples]) -> str:
    """How far an 8-bit model's answers to float32[samples] are from the float model's, in words."""
    if not describe_model(float_path).labels:
        cosines = likeness(float_path, int8_path, windows)
        return (
            f"on {len(cosines)} windows its embeddings point the float model's way by a cosine of {cosines.mean():.4f} "
            f"in the mean, {cosines.min():.4f} at least"
        )
    found = drift(float_path, int8_path, windows)
    return (
        f"on {found.windows} windows its scores differ from the float model's by {found.mean:.4f} in the mean, "
        f"{found.largest:.2f} at most; the best class is the same in {found.top1:.0%}"
    )
