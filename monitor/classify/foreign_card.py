"""The YAML card beside an ONNX file of another project, with the description that the file lacks."""

import csv
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from monitor.classify.card import check_labels, file_facts
from monitor.classify.features import FRONT_ENDS
from monitor.config.load import load_section
from monitor.config.schema import LABEL, Section
from monitor.errors import ConfigError, ModelError, suggestion
from monitor.messages import ModelCard

MAX_LABELS = 2**20
"""Most bytes read from a file of labels."""

Line = Annotated[str, Meta(pattern=LABEL, max_length=500)]
Axis = Literal["batch", "samples", "frames", "mels", "1"]


class InputSpec(Section, frozen=True):
    """The graph's inputs."""

    name: str | None = None
    """By default the only input besides `lengths`."""
    front_end: str | None = None
    """Computes log-mel features of the waveform; by default the input is the waveform."""
    layout: tuple[Axis, ...] = ()
    """The axes; by default [batch, samples], or [batch, frames, mels] with a front end."""
    lengths: str | None = None
    """An input for the number of samples or frames in each row, int64[batch]."""

    def __post_init__(self) -> None:
        if self.front_end is not None and self.front_end not in FRONT_ENDS:
            raise ValueError(f"unknown front end {self.front_end!r}; {suggestion(self.front_end, FRONT_ENDS)}")
        needed = sorted(set(self.axes) - {"batch"})
        given = sorted(axis for axis in self.layout if axis not in {"batch", "1"})
        if self.layout and (given != needed or self.layout.count("batch") > 1):
            raise ValueError(f"layout must contain {' and '.join(needed)} exactly once, and batch at most once")

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The axes of the waveforms, or of the front end's features."""
        return ("batch", "frames", "mels") if self.front_end else ("batch", "samples")


class OutputSpec(Section, frozen=True):
    """The graph's main output."""

    kind: Literal["probabilities", "logits"]
    """Values in [0, 1], or values before the sigmoid."""
    name: str | None = None
    """By default the first output."""


class ForeignCard(Section, frozen=True):
    """The whole card."""

    name: Line
    sample_rate: Annotated[int, Meta(ge=1_000, le=384_000)]
    """Hertz."""
    labels: tuple[str, ...] | str
    """The classes in order, or a file beside the card: .txt, one per line, or .csv with a column display_name."""
    output: OutputSpec
    window: Annotated[int, Meta(ge=1, le=60 * 384_000)] | None = None
    """Samples; alternative to `seconds`."""
    seconds: Annotated[float, Meta(ge=0.01, le=60.0)] | None = None
    """Length of a window; alternative to `window`."""
    input: InputSpec = InputSpec()
    embedding: str | None = None
    """An output, float32[batch, dims]."""
    max_batch: Annotated[int, Meta(ge=1, le=256)] | None = None
    """Most windows in one run; by default any number."""
    family: Line = "foreign"
    licence: Line = "unknown"
    source: Line = "unknown"
    description: Annotated[str, Meta(max_length=2000)] = ""

    def __post_init__(self) -> None:
        if (self.window is None) == (self.seconds is None):
            raise ValueError("set either window, in samples, or seconds")
        rate = FRONT_ENDS[self.input.front_end].rate if self.input.front_end else self.sample_rate
        if rate != self.sample_rate:
            raise ValueError(f"front end {self.input.front_end!r} requires sample_rate {rate}")


def card_beside(path: Path) -> Path | None:
    """Return the path of this ONNX file's card, or None."""
    card = path.with_suffix(".yaml")
    return card if card.is_file() else None


def read_foreign_card(path: Path, model: Path) -> tuple[ForeignCard, ModelCard]:
    """Read a model's card and its labels. Raises `ModelError` that names file, line and key."""
    try:
        spec = load_section(ForeignCard, str(path))
    except ConfigError as error:
        raise ModelError(str(error)) from error
    card = ModelCard(
        name=spec.name,
        family=spec.family,
        sample_rate=spec.sample_rate,
        window=spec.window or round((spec.seconds or 0.0) * spec.sample_rate),
        labels=_labels(path, spec.labels),
        licence=spec.licence,
        source=spec.source,
        description=spec.description if spec.description.isprintable() else " ".join(spec.description.split()),
        max_batch=spec.max_batch,
        **file_facts(model),
    )
    return spec, card


def _labels(card: Path, labels: tuple[str, ...] | str) -> tuple[str, ...]:
    if not isinstance(labels, str):
        return check_labels(card, labels, "labels")
    path = card.with_name(Path(labels).name)
    if labels != path.name or path.suffix not in {".txt", ".csv"}:
        raise ModelError(f"{card}: labels must be a list or the name of a .txt or .csv file in the same folder")
    return read_labels(path)


def read_labels(path: Path) -> tuple[str, ...]:
    """Read class names in order: the column display_name of a .csv file, one a line of any other file.

    Blank lines do not count. Raises `ModelError`.
    """
    try:
        with path.open("rb") as file:
            lines = file.read(MAX_LABELS).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ModelError(f"{path}: cannot read the labels: {reason}") from error
    if path.suffix != ".csv":
        names = [line.strip() for line in lines if line.strip()]
    else:
        try:
            names = [row["display_name"].strip() for row in csv.DictReader(lines, skipinitialspace=True)]
        except (KeyError, AttributeError, csv.Error) as error:
            raise ModelError(f"{path}: labels require a column display_name in each row") from error
    return check_labels(path, names, "labels")
