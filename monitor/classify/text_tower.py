"""Descriptions in words to vectors: what a text tower makes of them, kept in the user's cache folder.

A text tower is two files beside the model's: NAME.text, an ONNX file that takes tokens int64[1, length] to a vector
float32[1, dims] of unit length, and NAME.tokenizer.json. It is only loaded for what the cache does not hold.
"""

import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monitor.classify.graph import Graph
from monitor.config.paths import cache_folder
from monitor.errors import ModelError
from monitor.files import sha256, written_whole
from monitor.messages import Samples
from monitor.onnx import plain

log = logging.getLogger(__name__)

AGAIN = "pull or import the model again"


@dataclass(frozen=True, slots=True)
class PromptEncoder:
    """Where a text tower is, and what its files must be."""

    graph: Path
    graph_sha256: str
    tokenizer: Path
    tokenizer_sha256: str

    def vectors(self, prompts: Sequence[str]) -> Samples:
        """Unit vectors float32[prompts, dims].

        Raises `ModelError` for files that are missing, damaged or another model's; files that are not needed, as the
        cache holds all, are not looked at.
        """
        places = {prompt: self._place(prompt) for prompt in prompts}
        found = {prompt: vector for prompt, place in places.items() if (vector := _recall(place)) is not None}
        missing = [prompt for prompt in places if prompt not in found]
        for prompt, vector in zip(missing, self._read(missing) if missing else (), strict=True):
            found[prompt] = vector
            _keep(places[prompt], vector)
        return np.stack([found[prompt] for prompt in prompts])

    def _place(self, prompt: str) -> Path:
        """Where the cache holds a description's vector: under a hash of all that it depends on."""
        key = "\n".join((self.graph_sha256, self.tokenizer_sha256, prompt))
        return cache_folder() / "prompts" / hashlib.sha256(key.encode()).hexdigest()

    def _read(self, prompts: Sequence[str]) -> list[Samples]:
        """Run the tower, one description at a time: it knows no padding."""
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise ModelError(f"{self.graph}: prompts need the package tokenizers: install the extra 'clap'") from error
        _check(self.graph, self.graph_sha256)
        _check(self.tokenizer, self.tokenizer_sha256)
        graph = Graph(self.graph, "cpu", os.cpu_count() or 1)
        try:
            tokenizer = Tokenizer.from_file(str(self.tokenizer))
            tokenizer.no_padding()
            tokenizer.enable_truncation(int(graph.metadata["tokens"]))
            sentences = [np.array([tokenizer.encode(prompt).ids], np.int64) for prompt in prompts]
            with graph.bounded():
                rows = [graph.run(["vector"], {"tokens": tokens})[0] for tokens in sentences]
        except Exception as error:  # the errors of tokenizers and of ONNX Runtime have no common base
            raise ModelError(f"{self.graph}: cannot read prompts: {plain(error)}; {AGAIN}") from error
        if any(row.ndim != 2 or len(row) != 1 or not np.isfinite(row).all() for row in rows):
            raise ModelError(f"{self.graph}: does not make one vector of a description; {AGAIN}")
        return [row[0] for row in rows]


def _check(path: Path, published: str) -> None:
    """Whether a file is the one that the model was made with."""
    try:
        found = sha256(path)
    except OSError as error:
        raise ModelError(f"{path}: needed beside the model to read prompts: {error.strerror}; {AGAIN}") from error
    if found != published:
        raise ModelError(f"{path}: damaged, or not made with the model beside it; {AGAIN}")


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
    try:
        with written_whole(place) as part:
            part.write_bytes(hashlib.sha256(data).digest() + data)
    except OSError as error:
        log.info("prompts are not cached: %s", error)
