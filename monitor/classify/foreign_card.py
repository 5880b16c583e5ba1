"""The YAML card beside an ONNX file of another project: what the file itself does not say."""

import csv
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from monitor.classify.card import check_labels, file_facts
from monitor.classify.features import FRONT_ENDS
from monitor.config.load import load_section
from monitor.config.schema import LABEL, Section
from monitor.errors import ConfigError, ModelError
from monitor.messages import ModelCard

MAX_LABELS = 2**20
"""Bytes of a file of labels."""

Line = Annotated[str, Meta(pattern=LABEL, max_length=500)]
Axis = Literal["batch", "samples", "frames", "mels", "1"]


class InputSheet(Section, frozen=True):
    """What the graph takes."""

    name: str | None = None
    """By default its only input beside `lengths`."""
    front_end: str | None = None
    """What makes log-mel features of the waveform; by default it takes the waveform itself."""
    layout: tuple[Axis, ...] = ()
    """Its axes; by default [batch, samples], or [batch, frames, mels] behind a front end."""
    lengths: str | None = None
    """An input that takes the number of samples or frames of each row, int64[batch]."""

    def __post_init__(self) -> None:
        if self.front_end is not None and self.front_end not in FRONT_ENDS:
            raise ValueError(f"there is no front end {self.front_end!r}; known: {', '.join(FRONT_ENDS)}")
        needed = sorted(set(self.axes) - {"batch"})
        given = sorted(axis for axis in self.layout if axis not in {"batch", "1"})
        if self.layout and (given != needed or self.layout.count("batch") > 1):
            raise ValueError(f"layout must name {' and '.join(needed)} once each, and batch at most once")

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Those of what is laid out: the waveforms, or the front end's features."""
        return ("batch", "frames", "mels") if self.front_end else ("batch", "samples")


class OutputSheet(Section, frozen=True):
    """What the graph answers."""

    kind: Literal["probabilities", "logits"]
    """Whatever the output is called: in [0, 1], or before the sigmoid."""
    name: str | None = None
    """By default its first output."""


class Sheet(Section, frozen=True):
    """The whole card."""

    name: Line
    sample_rate: Annotated[int, Meta(ge=1_000, le=384_000)]
    """Hertz."""
    labels: tuple[str, ...] | str
    """The classes in their order; or a file beside the card: .txt, one a line, or .csv with a column display_name."""
    output: OutputSheet
    window: Annotated[int, Meta(ge=1, le=60 * 384_000)] | None = None
    """Samples; or give `seconds`."""
    seconds: Annotated[float, Meta(ge=0.01, le=60.0)] | None = None
    """Length of a window; or give `window`."""
    input: InputSheet = InputSheet()
    embedding: str | None = None
    """An output, float32[batch, dims]."""
    max_batch: Annotated[int, Meta(ge=1, le=256)] | None = None
    """Most windows that may run together; by default any number."""
    family: Line = "foreign"
    licence: Line = "unknown"
    source: Line = "unknown"
    description: Annotated[str, Meta(max_length=2000)] = ""

    def __post_init__(self) -> None:
        if (self.window is None) == (self.seconds is None):
            raise ValueError("give either window, in samples, or seconds")
        rate = FRONT_ENDS[self.input.front_end].rate if self.input.front_end else self.sample_rate
        if rate != self.sample_rate:
            raise ValueError(f"front end {self.input.front_end!r} is for a sample_rate of {rate}")


def sheet_beside(path: Path) -> Path | None:
    """The card that explains this ONNX file, where there is one."""
    sheet = path.with_suffix(".yaml")
    return sheet if sheet.is_file() else None


def read_sheet(path: Path, model: Path) -> tuple[Sheet, ModelCard]:
    """Read the card of a model, and its labels. Raises `ModelError` that names file, line and key."""
    try:
        sheet = load_section(Sheet, str(path))
    except ConfigError as error:
        raise ModelError(str(error)) from error
    card = ModelCard(
        name=sheet.name,
        family=sheet.family,
        sample_rate=sheet.sample_rate,
        window=sheet.window or round((sheet.seconds or 0.0) * sheet.sample_rate),
        labels=_labels(path, sheet.labels),
        licence=sheet.licence,
        source=sheet.source,
        description=sheet.description if sheet.description.isprintable() else " ".join(sheet.description.split()),
        max_batch=sheet.max_batch,
        **file_facts(model),
    )
    return sheet, card


def _labels(sheet: Path, labels: tuple[str, ...] | str) -> tuple[str, ...]:
    if not isinstance(labels, str):
        return check_labels(sheet, labels, "labels")
    path = sheet.with_name(Path(labels).name)
    if labels != path.name or path.suffix not in {".txt", ".csv"}:
        raise ModelError(f"{sheet}: labels must be a list, or the name of a .txt or .csv file in the same folder")
    try:
        with path.open("rb") as file:
            lines = file.read(MAX_LABELS).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: labels cannot be read: {error}") from error
    if path.suffix == ".txt":
        names = [line.strip() for line in lines if line.strip()]
    else:
        try:
            names = [row["display_name"].strip() for row in csv.DictReader(lines, skipinitialspace=True)]
        except (KeyError, AttributeError, csv.Error) as error:
            raise ModelError(f"{path}: labels need a column display_name in each row") from error
    return check_labels(path, names, "labels")
