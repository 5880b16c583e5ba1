"""How a network becomes int8: said once where it is exported, in the model file, and read where it is quantised."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from monitor.errors import ModelError

KEY = "quantization"
"""The metadata's key."""

SUFFIX = "-int8"
"""Ends the name of a quantised model."""


@dataclass(frozen=True, slots=True)
class Quantization:
    """How a network's graph becomes int8."""

    kind: Literal["static", "dynamic"] = "static"
    """Static: the ranges of activations are measured beforehand. Dynamic: taken anew from each batch."""

    keep: tuple[str, ...] = ()
    """Paths of modules, as in `named_modules`, that stay in float with all that is below them."""

    equalise: bool = False
    """Even out the ranges of channels across neighbouring layers first (depthwise networks collapse without)."""


def as_metadata(quantization: Quantization) -> dict[str, str]:
    """What a model file says of it."""
    return {KEY: msgspec.json.encode(quantization).decode()}


def read_quantization(name: str, metadata: Mapping[str, str]) -> Quantization:
    """What the file of the model called `name` says of it. Raises `ModelError` where it says nothing, or nonsense."""
    if KEY not in metadata:
        raise ModelError(
            f"{name}: does not say what must stay in float, so it cannot be quantised: of the models here only those "
            "can that `sound-monitor models pull` and `import` make"
        )
    try:
        return msgspec.json.decode(metadata[KEY], type=Quantization)
    except msgspec.MsgspecError as error:
        raise ModelError(f"{name}: its metadata {KEY} is not understood: {error}") from error
