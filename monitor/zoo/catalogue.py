"""The published checkpoints that can be downloaded by name, and the module of each family. Loads no torch."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING
from urllib.parse import quote

from monitor.config.paths import cache_folder
from monitor.errors import ModelError, UsageError, suggestion

if TYPE_CHECKING:
    from monitor.zoo.family import AnyFamily

FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        "convnext-tiny": "monitor.zoo.families.convnext:FAMILY",
        "panns-cnn14": "monitor.zoo.families.cnn14:CNN14",
        "panns-wavegram-logmel-cnn14": "monitor.zoo.families.cnn14:WAVEGRAM",
        "panns-mobilenetv1": "monitor.zoo.families.mobilenet:MOBILENET_V1",
        "panns-mobilenetv2": "monitor.zoo.families.mobilenet:MOBILENET_V2",
        "ast": "monitor.zoo.families.ast:FAMILY",
        "clap": "monitor.zoo.families.clap:FAMILY",
        "ced": "monitor.zoo.families.ced:FAMILY",
        "efficientat": "monitor.zoo.families.efficientat:FAMILY",
        "yamnet": "monitor.zoo.families.yamnet:FAMILY",
    }
)
"""The module that defines each family, and its name there."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One published file of weights."""

    name: str

    family: str
    """A key of `FAMILIES`."""

    address: str
    """Where its publisher offers the file."""

    file: str
    """Name of the file in the cache."""

    licence: str
    """Licence of the weights, as their publisher states it."""

    source: str
    """Its authors, and the page that describes it."""

    size: int | None = None
    """Bytes, if known."""

    digest: str | None = None
    """"sha256:..." or "md5:...", if known; Zenodo publishes the MD5 of its files."""

    beside: tuple[str, ...] = ()
    """Addresses of small files that are required beside the weights."""

    @property
    def cached(self) -> Path:
        """Path of the downloaded file, in a folder of its own."""
        return cache_folder() / "checkpoints" / self.name / self.file


def load_family(name: str) -> AnyFamily:
    """Return the family of this name. Raises `ModelError` if it is unknown or a package that it needs is missing."""
    if name not in FAMILIES:
        raise ModelError(f"unknown model family {name!r}; {suggestion(name, FAMILIES)}")
    module, _, attribute = FAMILIES[name].partition(":")
    family: AnyFamily = getattr(load_zoo_module(module, "importing models"), attribute)
    return family


def load_zoo_module(module: str, purpose: str) -> ModuleType:
    """Import a module of the zoo. Raises `ModelError` if a package that the `purpose` needs is missing."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("monitor"):
            raise
        raise ModelError(
            f"{purpose} requires the package {error.name}: install it with `pip install 'sound-monitor[zoo]'`"
        ) from error


def published(name: str) -> Checkpoint:
    """Return the checkpoint of this name. Raises `UsageError` with the nearest name."""
    if name not in CHECKPOINTS:
        raise UsageError(f"unknown published model {name!r}; {suggestion(name, CHECKPOINTS)}")
    return CHECKPOINTS[name]


def _zenodo(record: int, file: str) -> str:
    return f"https://zenodo.org/records/{record}/files/{quote(file)}"


def _hugging_face(repository: str, file: str) -> str:
    return f"https://huggingface.co/{repository}/resolve/main/{file}"


def _panns(name: str, family: str, file: str, digest: str | None) -> Checkpoint:
    return Checkpoint(
        name=name,
        family=family,
        address=_zenodo(3987831, file),
        file=file,
        licence="CC-BY-4.0",
        source="PANNs by Kong et al., https://zenodo.org/records/3987831",
        digest=digest,
    )


def _published(
    name: str, family: str, repository: str, licence: str, maker: str, beside: tuple[str, ...] = ()
) -> Checkpoint:
    return Checkpoint(
        name=name,
        family=family,
        address=_hugging_face(repository, "model.safetensors"),
        file=f"{name}.safetensors",
        licence=licence,
        source=f"{maker}, https://huggingface.co/{repository}",
        beside=tuple(_hugging_face(repository, other) for other in beside),
    )


CHECKPOINTS: Mapping[str, Checkpoint] = MappingProxyType(
    {
        checkpoint.name: checkpoint
        for checkpoint in (
            Checkpoint(
                name="convnext-tiny",
                family="convnext-tiny",
                address=_zenodo(8020843, "convnext_tiny_471mAP.pth"),
                file="convnext_tiny_471mAP.pth",
                licence="MIT",
                source="ConvNeXt-Tiny on AudioSet by Pellegrini et al., https://zenodo.org/records/8020843",
                digest="md5:e069ecd1c7b880268331119521c549f2",
            ),
            _panns("cnn14", "panns-cnn14", "Cnn14_mAP=0.431.pth", "md5:541141fa2ee191a88f24a3219fff024e"),
            _panns(
                "wavegram-logmel",
                "panns-wavegram-logmel-cnn14",
                "Wavegram_Logmel_Cnn14_mAP=0.439.pth",
                "md5:17fa9ab65af3c0eb5ffbc5f65552c4e1",
            ),
            _panns(
                "mobilenetv1",
                "panns-mobilenetv1",
                "MobileNetV1_mAP=0.389.pth",
                "md5:a419303e1c88aa1b9d2ac3811563d371",
            ),
            _panns("mobilenetv2", "panns-mobilenetv2", "MobileNetV2_mAP=0.383.pth", None),
            _published("ast", "ast", "MIT/ast-finetuned-audioset-10-10-0.4593", "BSD-3-Clause", "AST by Gong et al."),
            _published(
                "clap",
                "clap",
                "laion/clap-htsat-unfused",
                "Apache-2.0",
                "CLAP by LAION (Wu et al.)",
                beside=("tokenizer.json", "config.json"),
            ),
            _published("ced-tiny", "ced", "mispeech/ced-tiny", "Apache-2.0", "CED by Dinkel et al."),
            _published("ced-mini", "ced", "mispeech/ced-mini", "Apache-2.0", "CED by Dinkel et al."),
            Checkpoint(
                name="mn04",
                family="efficientat",
                address="https://github.com/fschmid56/EfficientAT/releases/download/v0.0.1/mn04_as_mAP_432.pt",
                file="mn04_as_mAP_432.pt",
                licence="MIT",
                source="EfficientAT by Schmid et al., https://github.com/fschmid56/EfficientAT",
                size=4_066_513,
                digest="sha256:899a8c6217063f6941793102a2780b3dd788ab11fce468d9cf5f0577c453321c",
            ),
            Checkpoint(
                name="yamnet",
                family="yamnet",
                address="https://storage.googleapis.com/mediapipe-models/audio_classifier/yamnet/float32/1/yamnet.tflite",
                file="yamnet.tflite",
                licence="Apache-2.0",
                source="YAMNet by Google, https://github.com/tensorflow/models/tree/master/research/audioset/yamnet",
            ),
        )
    }
)
"""The checkpoints by name."""
