"""What a model file must say about itself, in its ONNX metadata."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from monitor.errors import ModelError
from monitor.messages import ModelCard

FORMAT = "1"
"""Version of the metadata; a file of another version is refused."""

REQUIRED = ("format", "name", "family", "sample_rate", "window", "labels", "licence", "source")


def read_card(path: Path, metadata: Mapping[str, str], *, has_embedding: bool) -> ModelCard:
    """Make a `ModelCard` of a file's metadata. Raises `ModelError` that says what is missing or wrong."""
    missing = [key for key in REQUIRED if not metadata.get(key)]
    if missing:
        raise ModelError(f"{path}: the model does not describe itself: its metadata lacks {', '.join(missing)}")
    if metadata["format"] != FORMAT:
        raise ModelError(f"{path}: metadata format {metadata['format']}; this program reads format {FORMAT}")
    return ModelCard(
        name=metadata["name"],
        family=metadata["family"],
        sample_rate=_whole(path, metadata, "sample_rate", 1_000, 384_000),
        window=_whole(path, metadata, "window", 1, 60 * 384_000),
        labels=_labels(path, metadata["labels"]),
        licence=metadata["licence"],
        source=metadata["source"],
        description=metadata.get("description", ""),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        size=path.stat().st_size,
        path=str(path),
        has_embedding=has_embedding,
    )


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
    except ValueError:
        labels = None
    if not isinstance(labels, list) or not labels or not all(map(_is_name, labels)):
        raise ModelError(f"{path}: metadata labels must be a JSON list of names")
    if len(set(labels)) < len(labels):
        raise ModelError(f"{path}: metadata labels name a class twice")
    return tuple(labels)


def _is_name(label: object) -> bool:
    """Text that fits on a line."""
    return isinstance(label, str) and bool(label) and label.isprintable()
