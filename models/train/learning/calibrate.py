"""Calibration: 0.5 means the same rate of false alarms for every class.

Each class gets as its threshold the logit that a monitor's windows of ordinary speech, music and ambience reach no more
often than `RATE` says, and that no more than `OTHERS` of the pool's windows reach, which hold all kinds of sounds;
windows in which the teachers hear the class are left out. Thresholds are folded into the heads, so that a delivered
model needs no table to read. Only recordings of the train split are listened to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Logits = NDArray[np.float32]

RATE = 0.05
"""False alarms an hour at a score of 0.5."""
OTHERS = 2e-4
"""Share of the pool's windows without a sound that may reach its threshold."""
LOWEST, HIGHEST = -2.0, 1.0
"""Logits that a threshold is kept between (0.12 and 0.73): hours of background do not hold all that a home does."""
ABSENT = 0.1
"""A target below this says that the sound is not there."""
APART = 8
"""Windows within which false alarms of one sound count as one: two seconds at a hop of a quarter."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What is subtracted from each class's logit."""

    thresholds: Logits
    """[classes]"""

    def apply(self, logits: Logits) -> Logits:
        """Logits [n, classes], calibrated."""
        return np.asarray(logits - self.thresholds, np.float32)

    def fold(self, head: nn.Linear) -> None:
        """Have the layer itself give calibrated logits."""
        with torch.no_grad():
            head.bias.sub_(torch.from_numpy(self.thresholds))


def calibrate(
    logits: Sequence[Logits], targets: Sequence[Logits], hours: float, pool: tuple[Logits, Logits]
) -> Calibration:
    """From streams of background, `hours` long in all, and from the pool: logits and targets [n, classes]."""
    allowed = int(RATE * hours)
    silent = [np.where(wanted < ABSENT, given, -np.inf) for given, wanted in zip(logits, targets, strict=True)]
    background = [threshold([[stream[:, column] for stream in silent]], allowed) for column in range(pool[0].shape[1])]
    absent = np.where(pool[1] < ABSENT, pool[0], -np.inf)
    others = np.quantile(absent, 1.0 - OTHERS, axis=0, method="higher")
    return Calibration(np.clip(np.maximum(background, others), LOWEST, HIGHEST).astype(np.float32))


def threshold(background: Sequence[Sequence[Logits]], allowed: int) -> float:
    """The lowest score at which no more than `allowed` false alarms are left.

    `background`: for each sound the scores of its streams. A false alarm is a window that reaches a score while none of
    the two seconds before it does.
    """
    reached, before = [], []
    for scores in (stream for sound in background for stream in sound):
        padded = np.concatenate((np.full(APART, -np.inf, np.float32), scores))
        past = np.lib.stride_tricks.sliding_window_view(padded, APART)[: len(scores)].max(axis=1)
        reached.append(np.maximum(scores, past))
        before.append(past)
    up, down = np.sort(np.concatenate(reached)), np.sort(np.concatenate(before))
    candidates = np.unique(up)[::-1]
    counts = np.searchsorted(down, candidates) - np.searchsorted(up, candidates)
    too_many = np.flatnonzero(counts > allowed)
    return float(np.nextafter(candidates[too_many[0]], np.float32(np.inf))) if len(too_many) else float(up[0])
