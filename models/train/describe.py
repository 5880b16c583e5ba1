"""The words and figures that a model file carries about itself."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .corpus import Corpus
from .export import metadata_for
from .pool import SHARD

PACKAGES = ("torch", "numpy", "scipy", "soundfile", "onnx", "onnxscript", "onnxruntime", "ai-edge-litert")
LICENCE = "Apache-2.0 for the weights; the recordings' sources and licences stand in the model card"
SOURCE = (
    "Trained by this project from random weights on free recordings (the card lists every source and licence) and "
    "generated sounds; targets from Google's YAMNet (Apache-2.0) and from labels that are plain"
)
DESCRIPTION = (
    "Small residual network over a log-mel spectrogram: 521 AudioSet sounds, for homes, from one window of 0.975 s at "
    "16 kHz. Not a life-safety device"
)


def describe(
    name: str,
    labels: list[str],
    corpus: Corpus,
    data: Path,
    checkpoint: Mapping[str, Any],
    figures: Mapping[str, object],
) -> dict[str, str]:
    """Metadata of a model trained to `checkpoint` on `corpus`."""
    teacher = (data / "teacher" / "yamnet.tflite").read_bytes()
    plan = checkpoint["plan"]
    training = {
        "teacher": "YAMNet, TFLite",
        "teacher_sha256": hashlib.sha256(teacher).hexdigest(),
        "data_sha256": corpus.digest,
        "audio_seconds": round(corpus.seconds("train"), 1),
        "pool_windows": SHARD * len(checkpoint["uses"]),
        "steps": checkpoint["step"],
        **{key: plan[key] for key in ("batch", "rate", "decay", "average", "embedding", "seed")},
        "packages": {package: version(package) for package in PACKAGES},
        "figures": figures,
    }
    texts = {"name": name, "family": "resnet", "licence": LICENCE, "source": SOURCE, "description": DESCRIPTION}
    return metadata_for(labels, training, texts)
