"""The networks that the recipe trains, by the names of the model files that they become."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .convnext import ConvNeXt
from .lean import Lean
from .network import BranchAlone, Network


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one network is made."""

    make: Callable[[], Network]
    family: str
    description: str
    keep: tuple[str, ...]
    """Modules that stay in float when the model is quantised: the first layer, and what hears the raw waveform."""
    steps: int
    start: str = ""
    """The network whose weights it starts from."""


RECIPES = {
    "branch": Recipe(BranchAlone, "resnet", "Log-mel branch of LEAN alone", ("network.branch.stem",), 9_000),
    "lean": Recipe(
        Lean,
        "lean",
        "LEAN: residual log-mel branch and light wave encoder aligned by attention; 521 AudioSet sounds and 72 events "
        "of home and city from 0.975 s at 16 kHz. Not a life-safety device",
        ("network.branch.stem", "network.wave", "network.realign"),
        13_500,
        start="branch",
    ),
    "convnext": Recipe(
        ConvNeXt,
        "convnext",
        "Compact ConvNeXt over a log-mel spectrogram; 521 AudioSet sounds and 72 events of home and city from 0.975 s "
        "at 16 kHz. Not a life-safety device",
        ("network.branch.stem",),
        15_300,
        start="branch",
    ),
}


def start_from(network: Network, other: Network) -> None:
    """Take over what `other` has learnt."""
    if isinstance(network, Lean | ConvNeXt) and isinstance(other, BranchAlone):
        network.adopt(other)
    else:
        raise TypeError(f"{type(network).__name__} cannot start from {type(other).__name__}")
