"""`models verify`: does a model answer as what it was made of, and how fast here?"""

import statistics
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.text import Text

from monitor.classify.model import Model
from monitor.classify.onnx_file import read_metadata
from monitor.classify.open import find_model
from monitor.commands.models.report import drift_text
from monitor.commands.opening import open_any
from monitor.commands.output import print_table, working
from monitor.config.schema import ModelConfig
from monitor.errors import ModelError
from monitor.messages import Samples
from monitor.zoo.build.compare import alone, compare_models, largest_difference
from monitor.zoo.build.recordings import scene_of, windows_of
from monitor.zoo.catalogue import CHECKPOINTS, load_family
from monitor.zoo.metadata import SUFFIX

WINDOWS = 20
"""Windows on which the network, which is slow, is compared."""
TIMED = 10
NAMED = 3
"""Recordings that are named."""
NEIGHBOURS = 4
SAME = 1e-4
"""Largest difference of a probability that rounding makes when a window has neighbours in its batch."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of the table."""

    holds: bool | None
    """None where it could not be tested, or only tells."""
    test: str
    detail: str


def main(arguments: Namespace) -> int:
    """Print the table; the exit code is 65 where something does not hold."""
    model = open_any(find_model(arguments.model), ModelConfig(provider="cpu"))
    card = model.card
    windows = windows_of(arguments.audio, card.sample_rate, card.window) if arguments.audio else scene_of(card)
    named = ", ".join(Path(file).name for file in arguments.audio[:NAMED]) + ", …" * (len(arguments.audio) > NAMED)
    sound = f"{len(windows)} windows of {card.window / card.sample_rate:g} s: {named or 'a synthesised scene'}"
    checkpoint = Path(arguments.checkpoint).expanduser() if arguments.checkpoint else None
    findings = [Verdict(None, "sound", sound), *_findings(model, windows, checkpoint)]
    marks: dict[bool | None, Text] = {True: Text("✓", "green"), False: Text("✗", "red"), None: Text()}
    print_table(("", "test", "finding"), [(marks[one.holds], one.test, one.detail) for one in findings])
    return ModelError.exit_code if any(one.holds is False for one in findings) else 0


def _findings(model: Model, windows: list[Samples], checkpoint: Path | None) -> Iterator[Verdict]:
    if model.card.name.endswith(SUFFIX):
        yield _drift(model, windows)
    else:
        yield _parity(model, np.stack(windows[:WINDOWS]), checkpoint)
    yield _neighbours(model, np.stack(windows[:NEIGHBOURS]))
    yield _time(model, windows[0])


def _parity(model: Model, windows: Samples, checkpoint: Path | None) -> Verdict:
    """Against the PyTorch network."""
    card = model.card
    published = CHECKPOINTS.get(card.name)
    path = checkpoint or (published.cached if published else None)
    if path is None or (checkpoint is None and not path.exists()):
        return Verdict(None, "network", "not compared: its checkpoint is not at hand; name it by --checkpoint")
    family = load_family(card.family)
    from monitor.zoo.build.export import HALF_PARITY, PARITY, network_answers

    with working(f"asking the network of {path.name} about {len(windows)} windows"):
        wanted = network_answers(family.build(family.read(path), card.window), windows)
        difference = largest_difference(alone(model.run, windows)[-len(wanted) :], wanted)
    half = read_metadata(Path(card.path)).get("precision") == "half"
    return Verdict(
        difference <= (HALF_PARITY if half else PARITY),
        "network",
        f"differs from the PyTorch network of {path.name} by {difference:.1e} at most",
    )


def _drift(model: Model, windows: list[Samples]) -> Verdict:
    """Against the float twin."""
    twin = model.card.name.removesuffix(SUFFIX)
    beside = Path(model.card.path).with_name(f"{twin}.onnx")
    try:
        float_path = beside if beside.is_file() else find_model(twin)
    except ModelError:
        return Verdict(None, "float twin", f"not compared: there is no model called {twin!r} at hand")
    return Verdict(None, "float twin", drift_text(compare_models(float_path, Path(model.card.path), windows)))


def _neighbours(model: Model, windows: Samples) -> Verdict:
    """Each window alone and among others, a silent one among them."""
    batch = np.concatenate((windows, np.zeros_like(windows[:1])))
    together = [answer for answer in model.run(batch) if answer is not None]
    difference = largest_difference(together, alone(model.run, batch))
    return Verdict(
        difference <= SAME, "neighbours", f"a window's answer changes by {difference:.1e} in a batch of {len(batch)}"
    )


def _time(model: Model, window: Samples) -> Verdict:
    spent: list[float] = []
    for _ in range(TIMED):
        begun = time.perf_counter()
        model.run(window[None])
        spent.append(time.perf_counter() - begun)
    least, median, most = (1000 * value for value in (min(spent), statistics.median(spent), max(spent)))
    return Verdict(None, "time", f"{median:.3g} ms a window on one thread, from {least:.3g} to {most:.3g}")
