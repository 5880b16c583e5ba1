"""What every loaded model can do, whatever kind of file it came from."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from monitor.messages import ModelCard, Samples

Answer = tuple[Samples, Samples | None]
"""Probabilities float32[batch, classes], and embeddings float32[batch, dims] where the model has them."""


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
