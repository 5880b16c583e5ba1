"""What is to be made of a checkpoint, as the command line has it."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.commands.models.places import installed
from monitor.errors import UsageError
from monitor.zoo.build.recordings import check_readable
from monitor.zoo.catalogue import load_family
from monitor.zoo.quantization import SUFFIX

if TYPE_CHECKING:
    from monitor.zoo.family import Family


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be made."""

    family: Family
    window: int
    """Samples."""
    half: bool
    int8: bool
    recordings: Sequence[str]
    """Audio files that int8 is measured on."""
    name: str
    target: Path
    licence: str
    source: str

    @property
    def int8_target(self) -> Path:
        """Beside the float model."""
        return self.target.with_name(f"{self.target.stem}{SUFFIX}.onnx")


def ordered(
    arguments: Namespace, family_name: str, name: str, *, licence: str | None = None, source: str | None = None
) -> Order:
    """The order that the command line gives; `name`, `licence` and `source` where it does not. Raises `UsageError`."""
    family = load_family(family_name)
    output = getattr(arguments, "output", None)
    name = getattr(arguments, "name", None) or (Path(output).stem if output else name)
    if not re.fullmatch(r"[\w.+-]+", name):
        raise UsageError(f"{name!r} cannot be the name of a model: use letters, digits and - _ . +")
    order = Order(
        family=family,
        window=_window(family, arguments.window),
        half=arguments.half,
        int8=arguments.int8 is not None,
        recordings=arguments.int8 or (),
        name=name,
        target=_target(output, name),
        licence=licence or family.licence,
        source=source or family.source,
    )
    if order.half and order.int8:
        raise UsageError("half precision or int8: an 8-bit model is made of the float one")
    if order.int8 and family.quantization.kind == "static" and not order.recordings:
        raise UsageError(f"--int8 of {family.name} is measured on sound: give recordings of what it will hear")
    check_readable(order.recordings)
    return order


def _window(family: Family, seconds: float | None) -> int:
    """Samples."""
    if seconds is None:
        return family.window
    window, rate = round(seconds * family.sample_rate), family.sample_rate
    if family.shortest == family.window != window and not family.variable:
        raise UsageError(f"{family.name} hears {family.window / rate:g} s at once, neither more nor less")
    if window < family.shortest:
        raise UsageError(f"{family.name} hears at least {family.shortest / rate:g} s at once, not {seconds:g} s")
    return window


def _target(output: str | None, name: str) -> Path:
    if output is None:
        return installed(name)
    path = Path(output).expanduser()
    if path.suffix != ".onnx":
        raise UsageError(f"{output}: a model file ends in .onnx")
    return path
