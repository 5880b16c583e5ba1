"""The published checkpoints that can be fetched by name, and where each family's network is. Loads no torch."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from monitor.errors import ModelError

if TYPE_CHECKING:
    from monitor.zoo.family import Family

FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        "convnext-tiny": "monitor.zoo.convnext",
        "panns-cnn14": "monitor.zoo.cnn14",
        "panns-wavegram-logmel-cnn14": "monitor.zoo.wavegram",
        "panns-mobilenetv1": "monitor.zoo.mobilenetv1",
        "panns-mobilenetv2": "monitor.zoo.mobilenetv2",
        "ast": "monitor.zoo.ast",
        "clap": "monitor.zoo.clap",
        "ced": "monitor.zoo.ced",
        "yamnet": "monitor.zoo.yamnet",
    }
)
"""The module of each family; it defines FAMILY."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One published file of weights."""

    name: str

    family: str
    """A key of `FAMILIES`."""

    address: str
    """Where its publisher offers it."""

    file: str
    """The name that it is kept under."""

    licence: str
    """Of the weights, as their publisher states it."""

    source: str
    """Who made it, and the page that describes it."""

    size: int | None = None
    """Bytes, where known."""

    digest: str | None = None
    """"sha256:..." or "md5:...", where the publisher gives one."""


def load_family(name: str) -> Family:
    """The family of this name. Raises `ModelError` for an unknown one, or where a package that it needs is missing."""
    if name not in FAMILIES:
        raise ModelError(f"there is no model family {name!r}; there are {', '.join(FAMILIES)}")
    try:
        family: Family = importlib.import_module(FAMILIES[name]).FAMILY
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("monitor"):
            raise
        raise ModelError(f"importing models needs the package {error.name}: install the extra 'zoo'") from error
    return family
