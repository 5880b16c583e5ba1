"""Tries a model out once: a file that fits its card answers with probabilities, each row for itself."""

import logging
from collections.abc import Callable

import numpy as np

from monitor.classify.graph import Graph
from monitor.classify.model import Answer, run_rows
from monitor.errors import ModelError
from monitor.messages import ModelCard, Samples
from monitor.onnx import plain

log = logging.getLogger(__name__)

COUPLED = 0.01
"""A probability that differs by this alone and in company; the rounding of float16 stays well below."""


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
