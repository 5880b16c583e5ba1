"""The description of a model in its ONNX metadata: required entries, limits, and errors."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from monitor.errors import ModelError
from monitor.files import sha256
from monitor.messages import ModelCard

FORMAT = "1"
"""Version of the metadata; other versions are refused."""

REQUIRED = ("format", "name", "family", "sample_rate", "window", "labels", "licence", "source")
MAX_LABEL = 128
"""Longest name of a class, in characters: it is part of messages and topics."""
LINES = ("name", "family", "licence", "source", "description")
"""Entries shown on terminals and in messages: printable, on one line."""


def takes_prompts(metadata: Mapping[str, str]) -> bool:
    """Return whether the model has no classes of its own and requires prompts."""
    return metadata.get("prompts") == "required"


def read_card(path: Path, metadata: Mapping[str, str]) -> ModelCard:
    """Return the card that a file's metadata describes; other entries are ignored.

    Raises `ModelError` that names missing and invalid entries.
    """
    prompted = takes_prompts(metadata)
    missing = [key for key in REQUIRED if not metadata.get(key) and not (prompted and key == "labels")]
    if missing:
        raise ModelError(
            f"{path}: missing metadata: {', '.join(missing)}; "
            f"for a model of another project, write a card {path.stem}.yaml beside it"
        )
    if metadata["format"] != FORMAT:
        raise ModelError(f"{path}: unsupported metadata format {metadata['format']}, expected {FORMAT}")
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
    """The fields of a card that come from the file itself, in any kind of model."""

    path: str
    sha256: str
    size: int


def file_facts(path: Path) -> FileFacts:
    """Return a file's path, SHA-256 and size in bytes."""
    return {"path": str(path), "sha256": sha256(path), "size": path.stat().st_size}


def check_labels(path: Path, labels: Sequence[object], where: str) -> tuple[str, ...]:
    """Return the class names: printable and unique. `where` names their place in the `ModelError`."""
    names = tuple(label for label in labels if isinstance(label, str) and label and label.isprintable())
    if not labels or len(names) < len(labels):
        raise ModelError(f"{path}: {where} must be a list of names, each on one line")
    if longest := next((name for name in names if len(name) > MAX_LABEL), None):
        raise ModelError(f"{path}: class {longest[:20] + '…'!r} in {where} is longer than {MAX_LABEL} characters")
    if len(set(names)) < len(names):
        duplicate = next(name for name in names if names.count(name) > 1)
        raise ModelError(f"{path}: duplicate class {duplicate!r} in {where}")
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
