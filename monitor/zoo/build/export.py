"""Write a network as one self-describing ONNX file, and prove that the file answers as the network does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
import torch
from torch import nn

from monitor.errors import ModelError
from monitor.files import written_whole
from monitor.messages import Samples
from monitor.onnx import open_session
from monitor.zoo.build.compare import largest_difference
from monitor.zoo.build.torch_graph import OUTPUTS, Half, to_onnx

NetworkT = TypeVar("NetworkT", bound=nn.Module)

PARITY = 1e-4
"""Largest difference allowed between the network's answer and the file's; the embedding's, of its largest value."""

HALF_PARITY = 0.02
"""The same for a file in half precision."""

BATCHES = (1, 2, 3, 5)
"""Batch sizes to test: an exporter may freeze the one that it has seen."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a network answers to `sounds` of one length, to compare its file with."""

    waveforms: Samples
    """float32[rows, samples]."""
    answers: list[Samples]
    """Each output, float32[rows, ...]."""

    @classmethod
    def of(cls, network: nn.Module, window: int) -> Expected:
        """Run the network on sounds of `window` samples, each row on its own."""
        waveforms = sounds(max(BATCHES), window)
        return cls(waveforms, network_answers(network, waveforms))

    def difference(self, path: Path) -> float:
        """Return the largest difference of a model file's answers in batches of several sizes.

        The network answered for each row alone: a file whose rows depend on their neighbours differs.
        """
        session = open_session(path, threads=0)
        outputs = OUTPUTS[-len(self.answers) :]
        differences = [
            largest_difference(
                session.run(outputs, {"waveform": self.waveforms[:batch]}), [answer[:batch] for answer in self.answers]
            )
            for batch in BATCHES
        ]
        return float(np.max(differences))  # NaN if one is NaN


def export_network(
    network: NetworkT,
    path: Path,
    metadata: Mapping[str, str],
    *,
    window: int,
    shortest: int | None = None,
    half: bool = False,
    fold: Callable[[NetworkT], nn.Module] | None = None,
) -> float:
    """Write `network` to `path`; return the largest difference of the file's answers from the network's.

    The network maps float32[batch, `window`] to probabilities and embeddings, or to embeddings alone; the file takes
    any batch, and any length from `shortest` up if that is given. `half`: weights and activations of the network in
    float16 behind float32 inputs and outputs. `fold`: makes the network to write, which must be equivalent. Raises
    `ModelError`, and leaves what was under `path`, if the answers differ.
    """
    expected = [Expected.of(network, length) for length in {window, shortest or window}]
    outputs = OUTPUTS[-len(expected[0].answers) :]
    written = fold(network) if fold else network
    del network  # a small machine's memory does not hold both
    model = to_onnx(Half(written) if half else written, window, shortest, outputs)
    return save_proven(
        model,
        path,
        metadata,
        lambda part: float(np.max([one.difference(part) for one in expected])),
        HALF_PARITY if half else PARITY,
    )


def save_proven(
    model: onnx.ModelProto,
    path: Path,
    metadata: Mapping[str, str],
    difference_of: Callable[[Path], float],
    allowed: float = PARITY,
) -> float:
    """Write `model` with its metadata to `path`; return what `difference_of` measures on the file.

    Raises `ModelError`, and leaves what was under `path`, if that exceeds `allowed`.
    """
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    with written_whole(path) as part:
        onnx.save_model(model, part)
        difference = difference_of(part)
        if not difference <= allowed:  # also for NaN
            raise ModelError(
                f"{path.name}: not written: its answers differ from the network by {difference:.1e}, over {allowed:.0e}"
            )
    return difference


def network_answers(network: nn.Module, waveforms: Samples) -> list[Samples]:
    """Run a network on float32[n, samples], each row on its own; return its outputs, each float32[n, ...]."""
    with torch.no_grad():
        rows = [network(torch.from_numpy(row[None])) for row in waveforms]
    return [np.concatenate(parts) for parts in zip(*rows, strict=True)]


def sounds(count: int, window: int) -> Samples:
    """Return noise, silence, a tone, full scale and a click with noise beneath, in turn: float32[count, window].

    All but silence contain noise: a logarithm of pure rounding errors would tell correct roundings apart.
    """
    random = np.random.default_rng(0)
    noise = random.standard_normal((count, window))
    time = np.arange(window)
    kinds = (
        0.1 * noise,
        0 * noise,
        0.5 * np.sin(0.2 * time) + 0.01 * noise,
        np.sign(noise),
        (time == window // 2) + 0.01 * noise,
    )
    return np.stack([kinds[row % len(kinds)][row] for row in range(count)]).astype(np.float32)
