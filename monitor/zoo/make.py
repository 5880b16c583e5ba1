"""Make model files of published checkpoints and of float models: all of the files, or none."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from monitor.classify.foreign_card import read_labels
from monitor.classify.onnx_file import read_metadata
from monitor.config.paths import user_models
from monitor.errors import DownloadError, StorageError, UsageError
from monitor.messages import Samples
from monitor.zoo.build.compare import Drift, Likeness, compare_models
from monitor.zoo.build.download import Progress, download
from monitor.zoo.build.recordings import check_readable, windows_of
from monitor.zoo.catalogue import Checkpoint, load_family, load_zoo_module
from monitor.zoo.metadata import SUFFIX, read_quantization

if TYPE_CHECKING:
    from monitor.zoo.family import AnyFamily, Exported, ModelSpec

Say = Callable[[str], None]
"""Called with what is being done."""


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """What to make of a checkpoint."""

    family: AnyFamily
    spec: ModelSpec
    target: Path
    int8: bool
    """Whether to write an 8-bit model as well."""
    recordings: Sequence[str]
    """Audio files to measure int8 on."""

    @property
    def int8_target(self) -> Path:
        """The 8-bit model's file, beside the float model."""
        return self.target.with_name(f"{self.target.stem}{SUFFIX}.onnx")


@dataclass(frozen=True, slots=True)
class Built:
    """How the files that were written compare with what they were made of."""

    exported: Exported
    drift: Drift | Likeness | None
    """How far the 8-bit model is from the float model; None without one, or without recordings."""


def plan_build(
    family_name: str,
    name: str | None = None,
    *,
    checkpoint: Checkpoint | None = None,
    output: str | None = None,
    seconds: float | None = None,
    half: bool = False,
    recordings: Sequence[str] | None = None,
    labels: Path | None = None,
) -> BuildPlan:
    """Check what is to be made of a checkpoint before any work is done.

    `name`: of the model, by default the stem of `output`, or the checkpoint's or the family's name. `checkpoint`: its
    licence and source, by default the family's. `output`: the file to write, by default the one among the user's
    models. `seconds`: of a window. `recordings`: also make an 8-bit model, measured on these audio files. `labels`: a
    file with the classes of the checkpoint, by default those of the family. Raises `UsageError`, `SourceError` for a
    recording that cannot be read, and `ModelError`.
    """
    family = load_family(family_name)
    name = name or (Path(output).stem if output else checkpoint.name if checkpoint else family_name)
    if not re.fullmatch(r"[\w.+-]+", name):
        raise UsageError(f"invalid model name {name!r}: use letters, digits and - _ . +")
    spec = replace(family.spec(name, _window(family, seconds)), half=half)
    if labels is not None:
        if family.head is None:
            raise UsageError(f"{family.name} has no classes to label: describe sounds in model.prompts instead")
        spec = replace(spec, labels=read_labels(labels))
    if checkpoint:
        spec = replace(spec, licence=checkpoint.licence, source=checkpoint.source)
    plan = BuildPlan(family, spec, model_file(output, name), recordings is not None, recordings or ())
    if half and plan.int8:
        raise UsageError("choose half precision or int8: an 8-bit model is made of the float32 model")
    if plan.int8 and family.quantization.kind == "static" and not plan.recordings:
        raise UsageError(f"int8 of {family.name} requires recordings: name some of your rooms after --int8")
    check_readable(plan.recordings)
    return plan


def model_file(output: str | None, name: str) -> Path:
    """Return the file to write: `output`, or the one among the user's models. Raises `UsageError`."""
    if output is None:
        return user_models() / f"{name}.onnx"
    path = Path(output).expanduser()
    if path.suffix != ".onnx":
        raise UsageError(f"{output}: a model file must end in .onnx")
    return path


def _window(family: AnyFamily, seconds: float | None) -> int | None:
    """Samples; None for the published length."""
    if seconds is None:
        return None
    window, rate = round(seconds * family.sample_rate), family.sample_rate
    if family.shortest == family.window != window and not family.variable:
        raise UsageError(f"{family.name} takes windows of exactly {family.window / rate:g} s")
    if window < family.shortest:
        raise UsageError(f"{family.name} takes windows of at least {family.shortest / rate:g} s, not {seconds:g} s")
    return window


def fetch(checkpoint: Checkpoint, progress: Callable[[str], AbstractContextManager[Progress]]) -> Path:
    """Return a published checkpoint's file in the cache, downloaded if it is not there.

    `progress`: opened with the name of each file that is downloaded. Raises `DownloadError`, `ModelError`,
    `StorageError`.
    """
    path = checkpoint.cached
    files = [(address, path.with_name(PurePosixPath(address).name), None, None) for address in checkpoint.beside]
    try:
        for address, target, size, digest in (*files, (checkpoint.address, path, checkpoint.size, checkpoint.digest)):
            if not os.access(target, os.F_OK):
                with progress(target.name) as advance:
                    download(address, target, size, digest, advance)
    except DownloadError as error:
        raise DownloadError(
            f"{error}\nIf you have a copy of the file, use it: "
            f"sound-monitor models import FILE --family {checkpoint.family} --name {checkpoint.name}"
        ) from error
    return path


def build_model(plan: BuildPlan, checkpoint: Path, say: Say) -> Built:
    """Export a checkpoint, compare the file with the network, and quantise it if that is planned.

    Raises `ModelError`, `StorageError`.
    """
    drift = None
    with _all_or_none(plan.target) as target:
        say(f"exporting {checkpoint.name}, and comparing the file with the network")
        exported = plan.family.export(checkpoint, target, plan.spec)
        if plan.int8:
            rate, window = plan.family.sample_rate, plan.spec.window
            windows = windows_of(plan.recordings, rate, window) if plan.recordings else []
            int8_target = target.with_name(plan.int8_target.name)
            _quantize(target, int8_target, windows, say)
            drift = compare_models(target, int8_target, windows) if windows else None
    return Built(exported, drift)


def build_int8(source: Path, target: Path, windows: Sequence[Samples], say: Say) -> Drift | Likeness:
    """Write the float model `source` as the 8-bit model `target`; return how far it is from the float model.

    `windows`: float32[samples] in [-1, 1] of the model's window, at least one, to measure on. Raises `ModelError`,
    `StorageError`.
    """
    with _all_or_none(target) as part:
        _quantize(source, part, windows, say)
        return compare_models(source, part, windows)


def _quantize(source: Path, target: Path, windows: Sequence[Samples], say: Say) -> None:
    metadata = read_metadata(source)
    how = read_quantization(metadata.get("name", source.stem), metadata)
    say(f"measuring on {len(windows)} windows, and quantising")
    load_zoo_module("monitor.zoo.build.quantize", "quantising").quantize(source, target, windows, how)


@contextmanager
def _all_or_none(target: Path) -> Iterator[Path]:
    """Yield a path of the same name in a temporary folder; at the end move all files there beside `target`."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=target.parent) as folder:
            yield Path(folder) / target.name
            for file in sorted(Path(folder).iterdir(), key=_is_model):  # the model itself last
                file.replace(target.parent / file.name)
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror}") from error


def _is_model(file: Path) -> bool:
    return file.suffix == ".onnx"
