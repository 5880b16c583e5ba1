"""How far the answers of a model file are from those of what it was made of. Loads no torch."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monitor.errors import ModelError
from monitor.messages import Samples
from monitor.onnx import open_session, ort

SCORES, EMBEDDING = "probabilities", "embedding"
"""Outputs of a model."""


def largest_difference(given: Sequence[Samples], wanted: Sequence[Samples]) -> float:
    """Return the largest difference between answers: probabilities and embeddings, each float32[n, ...].

    An output whose largest value exceeds 1, as an embedding's may, is measured relative to that value. NaN if an answer
    is NaN.
    """
    differences = [
        np.abs(one - other).max() / max(1.0, np.abs(other).max()) for one, other in zip(given, wanted, strict=True)
    ]
    return float(np.max(differences))


def alone(run: Callable[[Samples], Sequence[Samples | None]], waveforms: Samples) -> list[Samples]:
    """Return a model's answers to float32[n, samples], each row run on its own, without outputs that it lacks."""
    rows = [run(row[None]) for row in waveforms]
    return [np.concatenate(parts) for parts in zip(*rows, strict=True) if parts[0] is not None]


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


@dataclass(frozen=True, slots=True)
class Likeness:
    """How far the embeddings of a quantised model point the float model's way, over windows of sound."""

    windows: int
    mean: float
    """Mean cosine between the two models' embeddings of a window."""
    least: float
    """The smallest cosine."""


def compare_models(float_path: Path, int8_path: Path, waveforms: Iterable[Samples]) -> Drift | Likeness:
    """Compare two models on waveforms float32[samples] in [-1, 1], one at a time.

    Models are compared by their scores, those without classes of their own by their embeddings. Raises `ModelError`.
    """
    reference, quantised = _open(float_path), _open(int8_path)
    output = SCORES if any(one.name == SCORES for one in reference.get_outputs()) else EMBEDDING
    answers = [(_answer(reference, output, w), _answer(quantised, output, w)) for w in waveforms]
    if not answers:
        raise ModelError(f"{int8_path}: no sound to compare with {float_path} on")
    wanted, given = (np.stack(rows) for rows in zip(*answers, strict=True))
    if wanted.shape != given.shape:
        raise ModelError(f"{int8_path}: has {given.shape[1]} classes, {float_path} has {wanted.shape[1]}")
    return _drift(wanted, given) if output == SCORES else _likeness(wanted, given)


def _drift(wanted: Samples, given: Samples) -> Drift:
    difference = np.abs(wanted - given)
    return Drift(
        windows=len(wanted),
        largest=float(difference.max()),
        mean=float(difference.mean()),
        top1=float((wanted.argmax(axis=1) == given.argmax(axis=1)).mean()),
    )


def _likeness(wanted: Samples, given: Samples) -> Likeness:
    lengths = np.linalg.norm(wanted, axis=1) * np.linalg.norm(given, axis=1)
    cosines = (wanted * given).sum(axis=1) / lengths
    return Likeness(windows=len(wanted), mean=float(cosines.mean()), least=float(cosines.min()))


def _open(path: Path) -> ort.InferenceSession:
    try:
        return open_session(path)
    except Exception as error:  # ONNX Runtime's errors have no common base
        raise ModelError(f"{path}: ONNX Runtime cannot load this model") from error


def _answer(session: ort.InferenceSession, output: str, waveform: Samples) -> Samples:
    """One output for one window, float32[classes] or float32[dims]."""
    answer: Samples = session.run([output], {"waveform": waveform[None]})[0][0]
    return answer
