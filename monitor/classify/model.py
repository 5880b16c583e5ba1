"""What every loaded model can do, whatever kind of file it came from."""

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
"""Probabilities float32[batch, classes], and embeddings float32[batch, dims] where the model has them."""

COUPLED = 0.01
"""A probability that differs by this alone and in company; the rounding of float16 stays well below."""


class Model(Protocol):
    """A loaded model. `run` may be called from any one thread at a time."""

    @property
    def card(self) -> ModelCard:
        """What it says about itself."""

    @property
    def provider(self) -> str:
        """The execution provider that ONNX Runtime really uses."""

    def run(self, waveforms: Samples) -> Answer:
        """Classify float32[batch, samples] in [-1, 1], each row `card.window` long."""

    def terminate(self) -> None:
        """Break off the inference that is under way; it raises in its thread."""


def run_rows(infer: Callable[[Samples], Answer], waveforms: Samples, most: int | None, rounded: bool) -> Answer:
    """Run at most so many rows at once, and put their answers together.

    `rounded`: run with silent rows up to the next power of two, and drop their answers. Buffers, kernels and engines
    on a GPU are made for each size of a batch anew, which takes longer than the rows do.
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
    """Run silence and noise, within bounds of memory and time. Warms up as well.

    `most`: how many rows run together, None for any number. Returns the same, or 1 where rows change one another, as
    with dynamic quantisation, or a batch that froze at export. Raises `ModelError` that says what does not fit.
    """
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, card.window).astype(np.float32)
    rows = np.stack((np.zeros_like(noise), noise))
    try:
        with graph.bounded():
            alone = run_rows(infer, rows, 1, rounded=False)
            together = alone if most == 1 else infer(rows)
    except Exception as error:  # ONNX Runtime's errors have no common base
        raise ModelError(f"{card.path}: does not run on windows of its own size: {plain(error)}") from error
    for probabilities, embeddings in (alone, together):
        if probabilities.shape != (2, len(card.labels)):
            raise ModelError(
                f"{card.path}: two windows get probabilities of shape {probabilities.shape}, "
                f"which does not fit {len(card.labels)} labels"
            )
        if embeddings is not None and (embeddings.ndim != 2 or len(embeddings) != 2):
            raise ModelError(f"{card.path}: two windows get an embedding of shape {embeddings.shape}, not one each")
        if not np.isfinite(probabilities).all() or probabilities.min() < 0 or probabilities.max() > 1:
            raise ModelError(f"{card.path}: its probabilities are not all in [0, 1]")
    if np.abs(together[0] - alone[0]).max() > COUPLED:
        log.warning("%s: windows that run together change one another's scores: they are run one by one", card.path)
        return 1
    return most
