"""From a trained network to model files: calibrated, exported, quantised, each file proven."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from monitor.zoo.build.export import Expected, save_proven
from monitor.zoo.build.quantize import quantize
from monitor.zoo.build.torch_graph import to_onnx
from monitor.zoo.metadata import SUFFIX, Quantization, metadata_for, read_quantization

from .data.corpus import Corpus
from .data.events import EVENT_NAMES
from .learning.calibrate import Calibration
from .networks.catalogue import Recipe
from .networks.frontend import SAMPLE_RATE, WINDOW
from .networks.network import Network
from .networks.tidy import tidy

PARITY = 1e-5
"""Largest difference allowed between the network and its float file."""
FRONT_END = "network.frontend"
"""Stays in float in every network: eight bits cannot hold what its logarithm spans."""
PACKAGES = ("torch", "numpy", "scipy", "soundfile", "onnx", "onnxscript", "onnxruntime", "ai-edge-litert")
LICENCE = "Apache-2.0 for the weights; the recordings' sources and licences stand in the model card"
SOURCE = (
    "Trained by this project from random weights on free recordings (the card lists every source and licence) and "
    "generated sounds; targets from Google's YAMNet (Apache-2.0), EfficientAT mn04 (MIT) and labels that are plain"
)
TEACHERS = {"yamnet.tflite": "YAMNet, TFLite", "efficientat_mn04_as.pt": "EfficientAT mn04"}
"""Files of the teachers, and what they are."""


class Delivered(nn.Module):
    """Waveform [batch, 15600] to probabilities [batch, 521 + events], AudioSet's classes first, and embedding."""

    def __init__(self, network: Network, classes: Calibration, events: Calibration) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        heads = self.network.heads
        classes.fold(heads.classes)
        events.fold(heads.events)
        self.answers = nn.Linear(heads.classes.in_features, heads.classes.out_features + heads.events.out_features)
        self.answers.weight = nn.Parameter(torch.cat((heads.classes.weight, heads.events.weight)))
        self.answers.bias = nn.Parameter(torch.cat((heads.classes.bias, heads.events.bias)))

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        features = self.network.features(self.network.frontend(waveform), waveform)
        embedding = torch.relu(self.network.heads.embed(features))
        hidden = torch.relu(self.network.heads.hidden(embedding))
        return torch.sigmoid(self.answers(hidden)), embedding


def write(
    delivered: Delivered,
    path: Path,
    metadata: Mapping[str, str],
    calibration: Iterable[NDArray[np.float32]],
) -> tuple[float, Path]:
    """Write the float file to `path` and the int8 one beside it; the float file's difference, and the int8 path.

    `calibration`: windows [15600] of real sound that the ranges of activations are taken from. Raises `ModelError`.
    """
    model = tidy(to_onnx(delivered.eval(), WINDOW, None))
    difference = save_proven(model, path, metadata, Expected.of(delivered, WINDOW).difference, PARITY)
    small = path.with_name(path.stem + SUFFIX + ".onnx")
    quantize(path, small, calibration, read_quantization(path.stem, metadata))
    return difference, small


def describe(
    name: str,
    recipe: Recipe,
    labels: list[str],
    corpus: Corpus,
    data: Path,
    checkpoint: Mapping[str, Any],
    calibrations: Mapping[str, Calibration],
    figures: Mapping[str, object],
) -> dict[str, str]:
    """Metadata of a model trained to `checkpoint` on `corpus`; `labels`: AudioSet's, which the events' follow."""
    teachers = {name: (data / "teacher" / name).read_bytes() for name in TEACHERS}
    training = {
        "teacher": "; ".join(TEACHERS.values()),
        "teacher_sha256": [hashlib.sha256(content).hexdigest() for content in teachers.values()],
        "data_sha256": corpus.digest,
        "audio_seconds": round(corpus.seconds("train"), 1),
        "pool_windows": checkpoint["windows"],
        "steps": checkpoint["step"],
        **checkpoint["plan"],
        "packages": {package: version(package) for package in PACKAGES},
        "calibration": {key: [round(float(t), 3) for t in found.thresholds] for key, found in calibrations.items()},
        "figures": figures,
    }
    return metadata_for(
        name,
        family=recipe.family,
        sample_rate=SAMPLE_RATE,
        window=WINDOW,
        labels=[*labels, *EVENT_NAMES],
        licence=LICENCE,
        source=SOURCE,
        description=recipe.description,
        training=training,
        quantization=Quantization(keep=(FRONT_END, *recipe.keep)),
    )
