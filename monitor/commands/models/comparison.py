"""How far the answers of a model file are from those of what it was made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from monitor.messages import Samples

if TYPE_CHECKING:
    from monitor.zoo.quantize import Drift


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


def told(drift: Drift) -> str:
    """The figures of an 8-bit model in words."""
    return (
        f"on {drift.windows} windows its scores differ from the float model's by {drift.mean:.4f} in the mean, "
        f"{drift.largest:.2f} at most; the best class is the same in {drift.top1:.0%}"
    )
