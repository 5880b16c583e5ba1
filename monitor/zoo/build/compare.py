"""How far the answers of a quantised model are from those of the float model that it was made of."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.errors import ModelError
from monitor.messages import Samples
from monitor.onnx import open_session, ort

SCORES, EMBEDDING = "probabilities", "embedding"
"""Outputs of a model."""
DETECTED = 0.5
"""A score from which a class counts as detected."""


@dataclass(frozen=True, slots=True)
class Drift:
    """How far the scores of a quantised model are from the float model's, over windows of sound."""

    windows: int
    largest: float
    """Largest difference of a probability."""
    mean: float
    """Mean difference of the probabilities, over all classes."""
    top1: float
    """Share of the windows whose best class is the same."""
    ranking: float | None
    """Mean average precision against what the float model detects (0.5 or more); None where it detects nothing."""


def drift(float_path: Path, int8_path: Path, waveforms: Iterable[Samples]) -> Drift:
    """Compare two models on waveforms float32[samples] in [-1, 1], one at a time. Raises `ModelError`."""
    reference, quantised = _open(float_path), _open(int8_path)
    answers = [(_answer(reference, SCORES, w), _answer(quantised, SCORES, w)) for w in waveforms]
    if not answers:
        raise ModelError(f"{int8_path}: no sound to compare with {float_path} on")
    wanted, given = (np.stack(scores) for scores in zip(*answers, strict=True))
    if wanted.shape != given.shape:
        raise ModelError(f"{int8_path}: has {given.shape[1]} classes, {float_path} has {wanted.shape[1]}")
    difference = np.abs(wanted - given)
    detected = wanted >= DETECTED
    ranked = [average_precision(given[:, c], detected[:, c]) for c in np.flatnonzero(detected.any(axis=0))]
    return Drift(
        windows=len(wanted),
        largest=float(difference.max()),
        mean=float(difference.mean()),
        top1=float((wanted.argmax(axis=1) == given.argmax(axis=1)).mean()),
        ranking=float(np.mean(ranked)) if ranked else None,
    )


def likeness(float_path: Path, int8_path: Path, waveforms: Iterable[Samples]) -> Samples:
    """Cosines float32[n] of two models' embeddings of waveforms float32[samples] in [-1, 1], one at a time.

    What `drift` is to models that have no classes of their own. Raises `ModelError`.
    """
    reference, quantised = _open(float_path), _open(int8_path)
    answers = [(_answer(reference, EMBEDDING, w), _answer(quantised, EMBEDDING, w)) for w in waveforms]
    if not answers:
        raise ModelError(f"{int8_path}: no sound to compare with {float_path} on")
    wanted, given = (np.stack(vectors) for vectors in zip(*answers, strict=True))
    lengths = np.linalg.norm(wanted, axis=1) * np.linalg.norm(given, axis=1)
    return np.asarray((wanted * given).sum(axis=1) / lengths, np.float32)


def average_precision(scores: Samples, positive: NDArray[np.bool_]) -> float:
    """Area under precision over recall of one class's scores [windows], at least one of them positive."""
    hits = positive[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())


def _open(path: Path) -> ort.InferenceSession:
    try:
        return open_session(path)
    except Exception as error:  # ONNX Runtime's errors have no common base
        raise ModelError(f"{path}: not a model that ONNX Runtime can load") from error


def _answer(session: ort.InferenceSession, output: str, waveform: Samples) -> Samples:
    """One output for one window, float32[classes] or float32[dims]."""
    answer: Samples = session.run([output], {"waveform": waveform[None]})[0][0]
    return answer
