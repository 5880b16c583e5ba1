"""What the actions that make models share: their options, and what they print."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.commands.options import CommandOptions, option, seconds

if TYPE_CHECKING:
    from monitor.zoo.build.compare import Drift, Likeness
    from monitor.zoo.make import BuildPlan

INT8 = """\
--int8 also writes the model with 8-bit weights and activations, as NAME-int8: a
quarter of the size and, on most machines, two to five times as fast. The ranges of
the numbers inside are measured on recordings: give a few minutes of the sounds to
expect, without long silence. Transformers (ast, ced, clap) need none.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildOptions(CommandOptions):
    """Options of an action that makes a model of a checkpoint."""

    window: float | None = option(
        "--window", metavar="S", type=seconds, help="seconds in a window, if the network takes windows of any length"
    )
    half: bool = option("--half", action="store_true", default=False, help="half precision (fp16), for a GPU")
    int8: tuple[str, ...] | None = option(
        "--int8", metavar="AUDIO", nargs="*", help="also make an 8-bit model, measured on these recordings"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedBuildOptions(BuildOptions):
    """The same for an action whose model can have another name and file."""

    name: str | None = option("--name", help="name of the model; default: that of the output file, or the checkpoint")
    output: str | None = option(
        "--output", metavar="OUT.onnx", help="write this file instead of installing it among your models"
    )


def build_and_print(plan: BuildPlan, checkpoint: Path) -> None:
    """Make the planned model of a checkpoint; print a line for each file. Raises `ModelError`, `StorageError`."""
    from monitor.commands.output import print_error, working
    from monitor.zoo.make import build_model

    with working(plan.spec.name) as say:
        built = build_model(plan, checkpoint, lambda text: say(f"{plan.spec.name}: {text}"))
    if built.exported.remark:
        print_error(built.exported.remark)
    difference = built.exported.difference
    print_model(plan.target, f"its answers differ from the PyTorch network's by {difference:.1e} at most")
    if plan.int8:
        print_model(plan.int8_target, drift_text(built.drift) if built.drift else "not compared: no recordings given")


def print_model(path: Path, fact: str) -> None:
    """Print a model file's path and size, and a fact about it."""
    from monitor.commands.output import short_path

    print(f"{short_path(path)}: {path.stat().st_size / 1e6:.1f} MB; {fact}")


def drift_text(drift: Drift | Likeness) -> str:
    """Describe how far an 8-bit model's answers are from the float model's."""
    from monitor.zoo.build.compare import Likeness

    if isinstance(drift, Likeness):
        return (
            f"on {drift.windows} windows the cosine between its embeddings and the float model's is {drift.mean:.4f} "
            f"on average, {drift.least:.4f} at least"
        )
    return (
        f"on {drift.windows} windows its scores differ from the float model's by {drift.mean:.4f} on average, "
        f"{drift.largest:.2f} at most; the best class is the same in {drift.top1:.0%}"
    )
