"""How the `models` commands show files, and models that were just made."""

import sys
from pathlib import Path

from monitor.commands.output import working
from monitor.zoo.build.compare import Drift, Likeness
from monitor.zoo.make import BuildPlan, build_model


def short(path: Path) -> str:
    """Return the path relative to the working directory or to the home directory if it is below one of them."""
    here, home = Path.cwd(), Path.home()
    if path.is_relative_to(here):
        return str(path.relative_to(here))
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def build_and_print(plan: BuildPlan, checkpoint: Path) -> None:
    """Make the planned model of a checkpoint; print a line for each file. Raises `ModelError`, `StorageError`."""
    with working(plan.spec.name) as say:
        built = build_model(plan, checkpoint, lambda text: say(f"{plan.spec.name}: {text}"))
    if built.exported.remark:
        print(f"sound-monitor: {built.exported.remark}", file=sys.stderr)
    difference = built.exported.difference
    print_file(plan.target, f"its answers differ from the PyTorch network's by {difference:.1e} at most")
    if plan.int8:
        print_file(plan.int8_target, drift_text(built.drift) if built.drift else "not compared: no recordings given")


def print_file(path: Path, fact: str) -> None:
    """Print a model file's path and size, and a fact about it."""
    print(f"{short(path)}: {path.stat().st_size / 1e6:.1f} MB; {fact}")


def drift_text(drift: Drift | Likeness) -> str:
    """Describe how far an 8-bit model's answers are from the float model's."""
    if isinstance(drift, Likeness):
        return (
            f"on {drift.windows} windows the cosine between its embeddings and the float model's is {drift.mean:.4f} "
            f"on average, {drift.least:.4f} at least"
        )
    return (
        f"on {drift.windows} windows its scores differ from the float model's by {drift.mean:.4f} on average, "
        f"{drift.largest:.2f} at most; the best class is the same in {drift.top1:.0%}"
    )
