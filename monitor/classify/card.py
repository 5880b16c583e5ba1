"""What a model file must say about itself, in its ONNX metadata."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from monitor.errors import ModelError
from monitor.files import sha256
from monitor.messages import ModelCard

FORMAT = "1"
"""Version of the metadata; a file of another version is refused."""

REQUIRED = ("format", "name", "family", "sample_rate", "window", "labels", "licence", "source")
LINES = ("name", "family", "licence", "source", "description")
"""Entries that go to terminals and into messages."""


def takes_prompts(metadata: Mapping[str, str]) -> bool:
    """Whether the model has no classes of its own, but is told in words what to listen for."""
    return metadata.get("prompts") == "required"


def read_card(path: Path, metadata: Mapping[str, str]) -> ModelCard:
    """Make a `ModelCard` of a file's metadata, of which other entries are passed over.

    Raises `ModelError` that says what is missing or wrong.
    """
    prompted = takes_prompts(metadata)
    missing = [key for key in REQUIRED if not metadata.get(key) and not (prompted and key == "labels")]
    if missing:
        raise ModelError(
            f"{path}: the model does not describe itself: its metadata lacks {', '.join(missing)}; "
            f"for a model of another project, write a card {path.stem}.yaml beside it"
        )
    if metadata["format"] != FORMAT:
        raise ModelError(f"{path}: metadata format {metadata['format']}; this program reads format {FORMAT}")
    for key in LINES:
        if not metadata.get(key, " ").isprintable():
            raise ModelError(f"{path}: metadata {key} must be one line of text")
    return ModelCard(
        name=metadata["name"],
        family=metadata["family"],
        sample_rate=_whole(path, metadata, "sample_rate", 1_000, 384_000),
        window=_whole(path, metadata, "window", 1, 60 * 384_000),
        labels=() if prompted and "labels" not in metadata else _labels(path, metadata["labels"]),
        max_batch=_whole(path, metadata, "max_batch", 1, 256) if "max_batch" in metadata else None,
        licence=metadata["licence"],
        source=metadata["source"],
        description=metadata.get("description", ""),
        **file_facts(path),
    )


class FileFacts(TypedDict):
    """The fields of a card that the file itself tells, whatever it holds."""

    path: str
    sha256: str
    size: int


def file_facts(path: Path) -> FileFacts:
    """Where the file is, its hash, and its bytes."""
    return {"path": str(path), "sha256": sha256(path), "size": path.stat().st_size}


def check_labels(path: Path, labels: Sequence[object], where: str) -> tuple[str, ...]:
    """Class names that a display and a topic can carry, each once. `where` they stand is for the `ModelError`."""
    names = tuple(label for label in labels if isinstance(label, str) and label and label.isprintable())
    if not labels or len(names) < len(labels):
        raise ModelError(f"{path}: {where} must be a list of names, each on one line")
    if len(set(names)) < len(names):
        raise ModelError(f"{path}: {where} name a class twice")
    return names


def _whole(path: Path, metadata: Mapping[str, str], key: str, least: int, most: int) -> int:
    try:
        value = int(metadata[key])
    except ValueError:
        value = -1
    if not least <= value <= most:
        raise ModelError(f"{path}: metadata {key} is {metadata[key]!r}, expected a whole number {least} to {most}")
    return value


def _labels(path: Path, text: str) -> tuple[str, ...]:
    try:
        labels = json.loads(text)
    except (ValueError, RecursionError):
        labels = None
    if not isinstance(labels, list):
        raise ModelError(f"{path}: metadata labels must be a JSON list of names")
    return check_labels(path, labels, "metadata labels")
