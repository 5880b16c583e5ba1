"""`models verify`: test that a model answers as what it was made of, and time it on this machine."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.commands.options import CommandOptions, option
from monitor.errors import ModelError
from monitor.files import expand_home

if TYPE_CHECKING:
    from monitor.classify.model import Model
    from monitor.messages import Samples

WINDOWS = 20
"""Windows to compare the network on, which is slow."""
NAMED = 3
"""Recordings to name in the table."""
SAME = 1e-4
"""Largest difference of a probability that rounding makes when a window has neighbours in its batch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(CommandOptions):
    """Options of `models verify`."""

    DESCRIPTION = (
        "Compares a model file with what it was made of: with the PyTorch network if its\n"
        "checkpoint is available (pulled, or named; requires the extra 'zoo'), and an 8-bit\n"
        "model with its float model. Tests that a window gets the same answer alone and among\n"
        "others, and times it on this machine. The exit code is 65 if a test fails."
    )
    EPILOG = (
        "examples:\n"
        "  sound-monitor models verify convnext-tiny --audio kitchen.flac\n"
        "  sound-monitor models verify mine.onnx --checkpoint mine.pth --audio *.wav\n"
    )

    model: str = option(metavar="NAME|PATH", help="see `sound-monitor models`")
    checkpoint: str | None = option("--checkpoint", metavar="FILE", help="compare with the network of this checkpoint")
    audio: tuple[str, ...] = option(
        "--audio",
        metavar="FILE",
        nargs="+",
        default=(),
        help="recordings to compare on; default: a synthesised scene",
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of the table."""

    holds: bool | None
    """None for a fact, or for a test that could not be made."""
    test: str
    detail: str


def main(options: Options) -> int:
    """Print the table; the exit code is 65 if a test fails. Raises `ModelError`, `SourceError`."""
    from rich.text import Text

    from monitor.classify.open import find_model, open_any
    from monitor.commands.output import FAILED, OK, print_table
    from monitor.config.schema import ModelConfig
    from monitor.zoo.build.recordings import scene_of, windows_of

    model = open_any(find_model(options.model), ModelConfig(provider="cpu"))
    card, audio = model.card, options.audio
    windows = windows_of(audio, card.sample_rate, card.window) if audio else scene_of(card)
    named = ", ".join(Path(file).name for file in audio[:NAMED]) + ", …" * (len(audio) > NAMED)
    sound = f"{len(windows)} windows of {card.window / card.sample_rate:g} s: {named or 'a synthesised scene'}"
    checkpoint = expand_home(options.checkpoint) if options.checkpoint else None
    verdicts = [Verdict(None, "sound", sound), *_verdicts(model, windows, checkpoint)]
    marks = {True: OK, False: FAILED, None: Text()}
    print_table(("", "test", "finding"), [(marks[one.holds], one.test, one.detail) for one in verdicts])
    return ModelError.exit_code if any(one.holds is False for one in verdicts) else 0


def _verdicts(model: Model, windows: Sequence[Samples], checkpoint: Path | None) -> Iterator[Verdict]:
    import numpy as np

    from monitor.zoo.metadata import SUFFIX
    from monitor.zoo.verify import batch_difference, run_times

    rows = np.stack(windows[:WINDOWS])
    if model.card.name.endswith(SUFFIX):
        yield _drift(model, model.card.name.removesuffix(SUFFIX), windows)
    else:
        yield _parity(model, rows, checkpoint)
    difference, size = batch_difference(model, rows)
    yield Verdict(
        difference <= SAME, "neighbours", f"a window's answer changes by {difference:.1e} in a batch of {size}"
    )
    times = [1000 * seconds for seconds in run_times(model, rows[0])]
    detail = f"{statistics.median(times):.3g} ms a window on one thread, from {min(times):.3g} to {max(times):.3g}"
    yield Verdict(None, "time", detail)


def _parity(model: Model, windows: Samples, checkpoint: Path | None) -> Verdict:
    """Compare with the PyTorch network."""
    from monitor.commands.output import working
    from monitor.zoo.catalogue import CHECKPOINTS
    from monitor.zoo.verify import network_difference

    published = CHECKPOINTS.get(model.card.name)
    path = checkpoint or (published.cached if published else None)
    if path is None or (checkpoint is None and not os.access(path, os.F_OK)):
        return Verdict(None, "network", "not compared: its checkpoint is not available; name it with --checkpoint")
    with working(f"running the network of {path.name} on {len(windows)} windows"):
        difference, allowed = network_difference(model, path, windows)
    detail = f"differs from the PyTorch network of {path.name} by {difference:.1e} at most"
    return Verdict(difference <= allowed, "network", detail)


def _drift(model: Model, original: str, windows: Sequence[Samples]) -> Verdict:
    """Compare with the float model that it was made of."""
    from monitor.classify.open import find_model
    from monitor.commands.models.building import drift_text
    from monitor.zoo.build.compare import compare_models

    beside = Path(model.card.path).with_name(f"{original}.onnx")
    try:
        float_path = beside if beside.is_file() else find_model(original)
    except ModelError:
        return Verdict(None, "float model", f"not compared: no model {original!r} is available")
    return Verdict(None, "float model", drift_text(compare_models(float_path, Path(model.card.path), windows)))
