"""Measure whether a model answers as what it was made of, and how fast."""

import time
from pathlib import Path

import numpy as np

from monitor.classify.model import Model
from monitor.classify.onnx_file import read_metadata
from monitor.messages import Samples
from monitor.zoo.build.compare import alone, largest_difference
from monitor.zoo.catalogue import load_family

NEIGHBOURS = 4
"""Windows in the batch that is compared with single windows."""
TIMED = 10
"""Runs to time."""


def network_difference(model: Model, checkpoint: Path, windows: Samples) -> tuple[float, float]:
    """Return the largest difference of a model's answers from its network's, and the difference that is allowed.

    `checkpoint`: the published weights of the network. `windows`: float32[n, samples]. Raises `ModelError`.
    """
    family = load_family(model.card.family)
    from monitor.zoo.build.export import HALF_PARITY, PARITY, network_answers

    wanted = network_answers(family.build(family.read(checkpoint), model.card.window), windows)
    half = read_metadata(Path(model.card.path)).get("precision") == "half"
    given = alone(model.run, windows)[-len(wanted) :]
    return largest_difference(given, wanted), HALF_PARITY if half else PARITY


def batch_difference(model: Model, windows: Samples) -> tuple[float, int]:
    """Return how far windows float32[n, samples] in a batch get other answers than alone, and the size of the batch.

    The batch holds a silent window as well.
    """
    batch = np.concatenate((windows[:NEIGHBOURS], np.zeros_like(windows[:1])))
    together = [answer for answer in model.run(batch) if answer is not None]
    return largest_difference(together, alone(model.run, batch)), len(batch)


def run_times(model: Model, window: Samples) -> list[float]:
    """Return the seconds of several runs of one window float32[samples]."""
    spent: list[float] = []
    for _ in range(TIMED):
        begun = time.perf_counter()
        model.run(window[None])
        spent.append(time.perf_counter() - begun)
    return spent
