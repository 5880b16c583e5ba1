"""Write a network as one self-describing ONNX file, and prove that the file answers as the network does."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from torch import nn

from monitor.classify.card import FORMAT
from monitor.errors import ModelError
from monitor.files import written_whole
from monitor.onnx import open_session
from monitor.zoo.build.reference import answers
from monitor.zoo.build.torch_graph import OUTPUTS, Half, to_onnx
from monitor.zoo.quantization import Quantization, as_metadata

PARITY = 1e-4
"""Largest difference allowed between the network's answer and the file's; the embedding's, of its largest value."""

HALF_PARITY = 0.02
"""The same for a file in half precision."""

BATCHES = (1, 2, 3, 5)
"""Sizes that are tried: an exporter may freeze the one that it has seen."""


def metadata_for(
    name: str,
    *,
    family: str,
    sample_rate: int,
    window: int,
    labels: Sequence[str],
    licence: str,
    source: str,
    description: str = "",
    training: Mapping[str, object] | None = None,
    quantization: Quantization | None = None,
) -> dict[str, str]:
    """What a model file must say about itself; `sample_rate` in hertz, `window` in samples."""
    return {
        "format": FORMAT,
        "name": name,
        "family": family,
        "sample_rate": str(sample_rate),
        "window": str(window),
        "labels": json.dumps(list(labels)),
        "licence": licence,
        "source": source,
        "description": description,
        **({"training": json.dumps(training)} if training else {}),
        **(as_metadata(quantization) if quantization else {}),
    }


def export(
    network: nn.Module,
    path: Path,
    metadata: Mapping[str, str],
    *,
    window: int,
    shortest: int | None = None,
    half: bool = False,
    outputs: Sequence[str] = OUTPUTS,
) -> float:
    """Write `network` to `path`; the largest difference of the file's answer from the network's is returned.

    The network maps float32[batch, `window`] to probabilities and embeddings; the file takes any batch, and any length
    from `shortest` on where that is given. `half`: weights and activations of the network in float16 behind float32
    inputs and outputs. `outputs`: the names of what the network gives, for one without probabilities. Raises
    `ModelError`, and leaves what was under `path`, where the answers differ.
    """
    model = to_onnx(Half(network) if half else network, window, shortest, outputs)
    lengths = {window} | ({shortest} if shortest else set())
    return save_proven(
        model,
        path,
        metadata,
        lambda part: max(largest_difference(network, part, length, outputs) for length in lengths),
        HALF_PARITY if half else PARITY,
    )


def save_proven(
    model: onnx.ModelProto,
    path: Path,
    metadata: Mapping[str, str],
    difference_of: Callable[[Path], float],
    allowed: float = PARITY,
) -> float:
    """Write `model` with its metadata to `path`; what `difference_of` says of the file is returned.

    Raises `ModelError`, and leaves what was under `path`, where that is more than `allowed`.
    """
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    with written_whole(path) as part:
        onnx.save_model(model, part)
        difference = difference_of(part)
        if not difference <= allowed:  # not so for NaN, which is refused as well
            raise ModelError(
                f"{path}: the exported file differs from the network by {difference:.1e}, over {allowed:.0e}"
            )
    return difference


def largest_difference(network: nn.Module, path: Path, window: int, outputs: Sequence[str] = OUTPUTS) -> float:
    """Largest difference of the file's answers from the network's over `sounds` in batches of several sizes.

    The network answers for each row alone: a file whose rows depend on their neighbours differs.
    """
    session = open_session(path, threads=0)
    waveforms = sounds(max(BATCHES), window)
    wanted = answers(network, waveforms)
    scales = [max(1.0, float(np.abs(truth).max())) for truth in wanted]
    return max(
        float(np.abs(answer - truth[:batch]).max()) / scale
        for batch in BATCHES
        for answer, truth, scale in zip(
            session.run(outputs, {"waveform": waveforms[:batch]}), wanted, scales, strict=True
        )
    )


def sounds(count: int, window: int) -> NDArray[np.float32]:
    """Noise, silence, a tone, full scale and a click with noise beneath, in turn: float32[count, window].

    Nothing but silence is without noise: where only rounding is left, a logarithm would tell correct roundings apart.
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
