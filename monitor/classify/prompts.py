"""Descriptions in words to vectors: what a text tower makes of them, kept in the user's cache folder.

A text tower is two files beside the model's: NAME.text, an ONNX file that takes tokens int64[1, length] to a vector
float32[1, dims] of unit length, and NAME.tokenizer.json. It is only loaded for what the cache does not hold.
"""

import contextlib
import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monitor.classify.graph import Graph, plain
from monitor.config import cache_folder
from monitor.errors import ModelError
from monitor.messages import Samples

log = logging.getLogger(__name__)

AGAIN = "pull or import the model again"

FAMILY = "clap-text"
"""What a text tower's metadata gives as its family."""


@dataclass(frozen=True, slots=True)
class TextTower:
    """Where a text tower is."""

    graph: Path
    tokenizer: Path
    pair: str
    """What marks it as the other half of an audio tower."""

    def vectors(self, prompts: Sequence[str]) -> Samples:
        """Unit vectors float32[prompts, dims]. Raises `ModelError` for a tower that is missing or damaged."""
        digest = "".join(map(_digest, (self.graph, self.tokenizer)))
        places = {prompt: _place(digest, self.pair, prompt) for prompt in prompts}
        found = {prompt: vector for prompt, place in places.items() if (vector := _recall(place)) is not None}
        missing = [prompt for prompt in places if prompt not in found]
        for prompt, vector in zip(missing, self._read(missing), strict=True):
            found[prompt] = vector
            _keep(places[prompt], vector)
        return np.stack([found[prompt] for prompt in prompts])

    def _read(self, prompts: Sequence[str]) -> list[Samples]:
        """Run the tower, one description at a time: padding is nothing that it knows."""
        if not prompts:
            return []
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise ModelError(f"{self.graph}: prompts need the package tokenizers: install the extra 'clap'") from error
        graph = Graph(self.graph, "cpu", os.cpu_count() or 1)
        if graph.metadata.get("family") != FAMILY or graph.metadata.get("pair") != self.pair:
            raise ModelError(f"{self.graph}: belongs to another model: {AGAIN}")
        try:
            tokenizer = Tokenizer.from_file(str(self.tokenizer))
            tokenizer.no_padding()
            tokenizer.enable_truncation(int(graph.metadata["tokens"]))
            sentences = [np.array([tokenizer.encode(prompt).ids], np.int64) for prompt in prompts]
            return [graph.run(["vector"], {"tokens": tokens})[0][0] for tokens in sentences]
        except Exception as error:  # the errors of tokenizers and of ONNX Runtime have no common base
            raise ModelError(f"{self.graph}: cannot read prompts ({plain(error)}): {AGAIN}") from error


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(
            f"{path}: without this file beside the model, prompts cannot be read ({error.strerror}): {AGAIN}"
        ) from error


def _place(digest: str, pair: str, prompt: str) -> Path:
    key = hashlib.sha256("\n".join((digest, pair, prompt)).encode()).hexdigest()
    return cache_folder() / "prompts" / key


def _recall(place: Path) -> Samples | None:
    """A vector that was kept, if it is whole."""
    try:
        content = place.read_bytes()
    except OSError:
        return None
    mark, data = content[:32], content[32:]
    return np.frombuffer(data, "<f4") if data and hashlib.sha256(data).digest() == mark else None


def _keep(place: Path, vector: Samples) -> None:
    """Write a vector behind its SHA-256, whole or not at all; without a cache the tower runs again next time."""
    data = vector.astype("<f4").tobytes()
    part = place.with_name(f"{place.name}.{os.getpid()}.part")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(hashlib.sha256(data).digest() + data)
        part.replace(place)
    except OSError as error:
        log.info("prompts are not cached: %s", error)
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
