"""Calibration: 0.5 shall mean the same for every class, however rare it was in the training.

Each class gets the logit that a small share of the held-out windows without its sound reaches as its threshold, as in
detectors of a constant false alarm rate, pulled half-way to what all have in common; one temperature for all of them
then brings the probabilities nearest to the truth (Guo et al., arXiv 1706.04599). Both are folded into the heads, so
that a delivered model needs no table to read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

FALSE = 0.003
"""Share of the windows without a sound that may reach its threshold."""
LOWEST, HIGHEST = -0.4, 0.85
"""Logits that a threshold is kept between (0.4 and 0.7): the tails of rare classes are thin."""
TRUST = 0.5
"""How far a threshold goes from the lowest towards its own: the whole way costs two points of ESC-50."""
ABSENT = 0.1
"""A target below this says that the sound is not there."""

Logits = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What is subtracted from each class's logit, and what all are then divided by."""

    thresholds: Logits
    """[classes]"""
    temperature: float

    def apply(self, logits: Logits) -> Logits:
        """Logits [n, classes], calibrated."""
        return np.asarray((logits - self.thresholds) / self.temperature, np.float32)

    def fold(self, head: nn.Linear) -> None:
        """Have the layer itself give calibrated logits."""
        with torch.no_grad():
            head.bias.sub_(torch.from_numpy(self.thresholds))
            head.weight.div_(self.temperature)
            head.bias.div_(self.temperature)


def calibrate(logits: Logits, targets: NDArray[np.float32]) -> Calibration:
    """Choose from held-out windows: logits and targets in [0, 1], both [n, classes]."""
    without = np.where(targets < ABSENT, logits, np.nan)
    thresholds = np.nanquantile(without, 1.0 - FALSE, axis=0)
    thresholds = LOWEST + TRUST * (np.clip(np.nan_to_num(thresholds), LOWEST, HIGHEST) - LOWEST)
    thresholds = thresholds.astype(np.float32)
    shifted, truth = torch.from_numpy(logits - thresholds), torch.from_numpy(targets)
    temperatures = np.geomspace(0.5, 2.0, 25)
    losses = [nn.functional.binary_cross_entropy_with_logits(shifted / t, truth).item() for t in temperatures]
    return Calibration(thresholds, float(temperatures[int(np.argmin(losses))]))
