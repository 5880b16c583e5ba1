"""From a checkpoint on disk to model files in their place, all of them or none."""

from __future__ import annotations

import re
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.classify.open import open_model
from monitor.commands.models.comparison import alone, largest_difference, told
from monitor.commands.models.places import installed, short
from monitor.commands.models.recordings import check_readable, windows_of
from monitor.commands.progress import working
from monitor.config import ModelConfig
from monitor.errors import ModelError, StorageError, UsageError
from monitor.zoo.catalogue import load_family

if TYPE_CHECKING:
    from monitor.zoo.family import Family

PARITY_WINDOWS = 3
"""Windows on which the exported file is compared with the network as published."""


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
        return self.target.with_name(f"{self.target.stem}-int8.onnx")


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


def make(order: Order, checkpoint: Path) -> None:
    """Read, export, compare and quantise; put the files into their place, and tell. Raises `ModelError`."""
    try:
        order.target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=order.target.parent) as folder:
            made = Path(folder) / order.target.name
            facts = [_export(order, checkpoint, made)]
            if order.int8:
                facts.append(_quantize(order, made, made.with_name(order.int8_target.name)))
            for file in sorted(Path(folder).iterdir()):
                file.replace(order.target.parent / file.name)
    except OSError as error:
        raise StorageError(f"cannot write {order.target}: {error.strerror}") from error
    for target, fact in zip((order.target, order.int8_target), facts, strict=False):
        print(f"{short(target)}: {target.stat().st_size / 1e6:.1f} MB; {fact}")  # noqa: T201


def _export(order: Order, checkpoint: Path, target: Path) -> str:
    from monitor.zoo.export import HALF_PARITY, PARITY, export, metadata_for, sounds
    from monitor.zoo.reference import answers

    family = order.family
    with working(f"{order.name}: reading {checkpoint.name}"):
        network = family.build(family.read(checkpoint), order.window)
        waveforms = sounds(PARITY_WINDOWS, order.window)
        wanted = answers(network, waveforms)
    with working(f"{order.name}: exporting, and comparing with the network"):
        metadata = metadata_for(
            order.name,
            family=family.name,
            sample_rate=family.sample_rate,
            window=order.window,
            labels=family.labels(),
            licence=order.licence,
            source=order.source,
            description=family.description,
        )
        if order.half:
            metadata["precision"] = "half"
        shortest = family.shortest if family.variable else None
        export(family.fold(network), target, metadata, window=order.window, shortest=shortest, half=order.half)
        difference = largest_difference(alone(open_model(ModelConfig(name=str(target))), waveforms), wanted)
    if not difference <= (HALF_PARITY if order.half else PARITY):
        raise ModelError(
            f"{checkpoint}: the file made of it differs from the network by {difference:.1e}: not installed"
        )
    return f"its answers differ from the PyTorch network's by {difference:.1e} at most"


def _quantize(order: Order, source: Path, target: Path) -> str:
    from monitor.zoo.quantize import drift, quantize

    with working(f"{order.name}: measuring and quantising"):
        windows = windows_of(order.recordings, order.family.sample_rate, order.window) if order.recordings else []
        quantize(source, target, windows, order.family.quantization)
        return told(drift(source, target, windows)) if windows else "not compared: no recordings given"


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
