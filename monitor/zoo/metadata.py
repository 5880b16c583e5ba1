"""The metadata that the zoo writes into a model file, and how the file's network becomes int8. Loads no torch."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from monitor.classify.card import FORMAT
from monitor.errors import ModelError

KEY = "quantization"
"""Key of the entry that describes the quantisation."""

SUFFIX = "-int8"
"""Ends the name of a quantised model."""


@dataclass(frozen=True, slots=True)
class Quantization:
    """How a network's graph becomes int8."""

    kind: Literal["static", "dynamic"] = "static"
    """Static: the ranges of activations are measured in advance. Dynamic: they are computed for each batch."""

    keep: tuple[str, ...] = ()
    """Paths of modules, as in `named_modules`, that stay in float with everything below them."""

    equalise: bool = False
    """Even out the ranges of channels across neighbouring layers first (depthwise networks collapse without it)."""


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
    """Return the metadata that every model file must have; `sample_rate` in hertz, `window` in samples."""
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


def as_metadata(quantization: Quantization) -> dict[str, str]:
    """Return the entry that describes this quantisation."""
    return {KEY: msgspec.json.encode(quantization).decode()}


def read_quantization(name: str, metadata: Mapping[str, str]) -> Quantization:
    """Return the quantisation in the metadata of the model `name`. Raises `ModelError` if it is missing or invalid."""
    if KEY not in metadata:
        raise ModelError(
            f"{name} cannot be quantised: its file does not say what must stay in float. Only models made by "
            "`sound-monitor models pull` or `import` can be quantised"
        )
    try:
        return msgspec.json.decode(metadata[KEY], type=Quantization)
    except msgspec.MsgspecError as error:
        raise ModelError(f"{name}: invalid metadata {KEY}: {error}") from error
