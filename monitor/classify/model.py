"""The interface of loaded models, and what all kinds share: batches, and a trial run on loading."""

import logging
from collections.abc import Callable
from typing import Protocol

import numpy as np

from monitor.classify.graph import Graph
from monitor.errors import ModelError
from monitor.messages import ModelCard, Samples
from monitor.onnx import plain

log = logging.getLogger(__name__)

Answer = tuple[Samples, Samples | None]
"""Probabilities float32[batch, classes], and embeddings float32[batch, dims] or None."""

COUPLED = 0.01
"""Difference in a probability, alone and in a batch, that shows coupled rows; float16 rounding stays well below."""


class Model(Protocol):
    """A loaded model. One thread at a time may call `run`."""

    @property
    def card(self) -> ModelCard:
        """The model's description."""

    @property
    def provider(self) -> str:
        """The execution provider in use."""

    def run(self, waveforms: Samples) -> Answer:
        """Classify float32[batch, samples] in [-1, 1], each row `card.window` long."""

    def terminate(self) -> None:
        """Stop the running inference, which raises in its thread."""


def run_rows(infer: Callable[[Samples], Answer], waveforms: Samples, most: int | None, rounded: bool) -> Answer:
    """Run at most `most` rows at once, and return the answers for all.

    `rounded`: pad the batch with silent rows to the next power of two, and drop their answers. GPUs allocate buffers,
    kernels and engines for each batch size, which takes longer than the extra rows.
    """
    count = len(waveforms)
    if most is not None and count > most:
        parts = [infer(waveforms[first : first + most]) for first in range(0, count, most)]
        embeddings = [embedding for _, embedding in parts if embedding is not None]
        return np.concatenate([scores for scores, _ in parts]), np.concatenate(embeddings) if embeddings else None
    if not rounded or most is not None:
        return infer(waveforms)
    silence = np.zeros(((1 << (count - 1).bit_length()) - count, waveforms.shape[1]), np.float32)
    probabilities, vectors = infer(np.concatenate((waveforms, silence)))
    return probabilities[:count], None if vectors is None else vectors[:count]


def try_out(graph: Graph, card: ModelCard, infer: Callable[[Samples], Answer], most: int | None) -> int | None:
    """Run silence and noise within limits of memory and time, which also warms up the model.

    `most`: the most rows in one run, None for any number. Returns the same, or 1 if rows affect one another, as with
    dynamic quantisation or a batch size frozen at export. Raises `ModelError` if the outputs do not fit the card.
    """
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, card.window).astype(np.float32)
    rows = np.stack((np.zeros_like(noise), noise))
    try:
        with graph.bounded():
            alone = run_rows(infer, rows, 1, rounded=False)
            together = alone if most == 1 else infer(rows)
    except Exception as error:  # ONNX Runtime's errors have no common base
        raise ModelError(f"{card.path}: cannot run a window of {card.window} samples: {plain(error)}") from error
    for probabilities, embeddings in (alone, together):
        if probabilities.shape != (2, len(card.labels)):
            raise ModelError(
                f"{card.path}: probabilities of two windows have shape {probabilities.shape}, "
                f"expected (2, {len(card.labels)}), as there are {len(card.labels)} labels"
            )
        if embeddings is not None and (embeddings.ndim != 2 or len(embeddings) != 2):
            raise ModelError(f"{card.path}: embeddings of two windows have shape {embeddings.shape}, not (2, dims)")
        if not np.isfinite(probabilities).all() or probabilities.min() < 0 or probabilities.max() > 1:
            raise ModelError(f"{card.path}: the model returned probabilities outside [0, 1]")
    if np.abs(together[0] - alone[0]).max() > COUPLED:
        log.warning("%s: windows in one batch affect one another's scores: running them one by one", card.path)
        return 1
    return most
