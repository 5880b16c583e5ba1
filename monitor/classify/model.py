"""Loaded models: what all kinds share, and the kind that describes itself in its metadata."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from monitor.classify.card import read_card
from monitor.classify.graph import FLOAT, Graph
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


class NativeModel:
    """A loaded model. One thread at a time may call `run`."""

    def __init__(self, path: Path, provider: str = "auto", threads: int = 1) -> None:
        """Load and check the file. Raises `ModelError`, also if the configured provider is unavailable."""
        self._graph = graph = Graph(path, provider, threads)
        self.provider: str = graph.provider
        """The execution provider in use."""
        card = read_card(path, graph.metadata)
        if set(graph.inputs) != {"waveform"} or "probabilities" not in graph.outputs:
            raise ModelError(
                f"{path}: expected an input 'waveform' and an output 'probabilities', "
                f"got inputs {', '.join(sorted(graph.inputs))} and outputs {', '.join(sorted(graph.outputs))}"
            )
        for name, (kind, _) in (graph.inputs | graph.outputs).items():
            if name in {"waveform", "probabilities", "embedding"} and kind != FLOAT:
                raise ModelError(f"{path}: {name!r} has type {kind}, expected {FLOAT}")
        self._outputs = ["probabilities"] + ["embedding"] * ("embedding" in graph.outputs)
        self._most = try_out(graph, card, self._infer, _most(card, graph))
        self.card: ModelCard = replace(card, max_batch=self._most)

    def run(self, waveforms: Samples) -> Answer:
        """float32[batch, samples] to probabilities float32[batch, classes] and embeddings float32[batch, dims]."""
        return run_rows(self._infer, waveforms, self._most, self._graph.bound)

    def terminate(self) -> None:
        """Stop the running inference, which raises in its thread."""
        self._graph.terminate()

    def _infer(self, waveforms: Samples) -> Answer:
        answer = self._graph.run(self._outputs, {"waveform": waveforms})
        return answer[0], answer[1] if len(answer) > 1 else None


def _most(card: ModelCard, graph: Graph) -> int | None:
    """Return the most rows in one run, from the card and the shape of the input; None for any number."""
    _, shape = graph.inputs["waveform"]
    if len(shape) != 2 or (isinstance(shape[1], int) and shape[1] != card.window):
        raise ModelError(
            f"{card.path}: metadata window is {card.window} samples, but the input has shape {list(shape)}"
        )
    if isinstance(shape[0], int) and shape[0] != 1:
        raise ModelError(
            f"{card.path}: the graph requires batches of {shape[0]} windows: export it with a free batch, or 1"
        )
    return 1 if shape[0] == 1 else card.max_batch
