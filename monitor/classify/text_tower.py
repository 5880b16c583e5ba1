"""Encodes descriptions as vectors with a text tower, and keeps the vectors in the user's cache folder.

A text tower is two files beside the model: NAME.text, an ONNX file from tokens int64[1, length] to a vector
float32[1, dims] of unit length, and NAME.tokenizer.json. It is loaded only for descriptions that the cache lacks.
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
    """The files of a text tower, and their expected hashes."""

    graph: Path
    graph_sha256: str
    tokenizer: Path
    tokenizer_sha256: str

    def vectors(self, prompts: Sequence[str]) -> Samples:
        """Return unit vectors float32[prompts, dims].

        Raises `ModelError` for files that are missing, damaged or from another model. If the cache has all vectors, the
        files are not checked.
        """
        places = {prompt: self._place(prompt) for prompt in prompts}
        found = {prompt: vector for prompt, place in places.items() if (vector := _recall(place)) is not None}
        missing = [prompt for prompt in places if prompt not in found]
        for prompt, vector in zip(missing, self._read(missing) if missing else (), strict=True):
            found[prompt] = vector
            _keep(places[prompt], vector)
        return np.stack([found[prompt] for prompt in prompts])

    def _place(self, prompt: str) -> Path:
        """Return the cache file of a description's vector, named by a hash of all inputs."""
        key = "\n".join((self.graph_sha256, self.tokenizer_sha256, prompt))
        return cache_folder() / "prompts" / hashlib.sha256(key.encode()).hexdigest()

    def _read(self, prompts: Sequence[str]) -> list[Samples]:
        """Run the tower, one description at a time, as it does not support padding."""
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise ModelError(f"{self.graph}: prompts require tokenizers: install the extra 'clap'") from error
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
            raise ModelError(f"{self.graph}: cannot encode prompts: {plain(error)}; {AGAIN}") from error
        if any(row.ndim != 2 or len(row) != 1 or not np.isfinite(row).all() for row in rows):
            raise ModelError(f"{self.graph}: expected one finite vector for each description; {AGAIN}")
        return [row[0] for row in rows]


def _check(path: Path, published: str) -> None:
    """Check that a file is the one that the model was built with. Raises `ModelError`."""
    try:
        found = sha256(path)
    except OSError as error:
        raise ModelError(f"{path}: prompts require this file: {error.strerror}; {AGAIN}") from error
    if found != published:
        raise ModelError(f"{path}: damaged, or from another model; {AGAIN}")


def _recall(place: Path) -> Samples | None:
    """Return a cached vector, or None if it is missing or damaged."""
    try:
        content = place.read_bytes()
    except OSError:
        return None
    mark, data = content[:32], content[32:]
    return np.frombuffer(data, "<f4") if data and hashlib.sha256(data).digest() == mark else None


def _keep(place: Path, vector: Samples) -> None:
    """Write a vector after its SHA-256, atomically; without a cache the tower runs again next time."""
    data = vector.astype("<f4").tobytes()
    try:
        with written_whole(place) as part:
            part.write_bytes(hashlib.sha256(data).digest() + data)
    except OSError as error:
        log.info("cannot cache prompts: %s", error)
