"""A model that is told in words what to listen for: it makes vectors of sounds, to compare with those of the words."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from monitor.classify.card import read_card
from monitor.classify.graph import FLOAT, Graph
from monitor.classify.model import Answer, run_rows
from monitor.classify.open_set import OpenSet, prototype
from monitor.classify.text_tower import TextTower
from monitor.classify.trial import try_out
from monitor.errors import ConfigError, ModelError
from monitor.messages import ModelCard, Samples

EXAMPLE = "model: {{name: {name}, prompts: {{glass: [a glass breaking, the sound of glass shattering]}}}}"


class PromptedModel:
    """A loaded model whose classes are what was described. `run` may be called from any one thread at a time.

    The file takes `waveform` float32[batch, window] and gives `embedding` float32[batch, dims] of unit length. Its
    metadata has no labels, but: prompts, "required"; scale, what cosines are multiplied by; text, the name of the text
    tower's files; text_sha256 and tokenizer_sha256, what they must be.
    """

    def __init__(
        self,
        path: Path,
        prompts: Mapping[str, Sequence[str]],
        background: Sequence[str],
        provider: str = "auto",
        threads: int = 1,
    ) -> None:
        """Load the file, and make vectors of the descriptions. Raises `ModelError`, without any `ConfigError`."""
        if not prompts:
            raise ConfigError(
                f"model.prompts: {path} is told in words what to listen for, and is told nothing; write for example\n"
                f"  {EXAMPLE.format(name=path.stem)}"
            )
        self._graph = graph = Graph(path, provider, threads)
        self.provider: str = graph.provider
        """The execution provider that ONNX Runtime really uses."""
        if set(graph.inputs) != {"waveform"} or graph.outputs.get("embedding", ("",))[0] != FLOAT:
            raise ModelError(f"{path}: expected an input 'waveform' and an output 'embedding' of {FLOAT}")
        card = read_card(path, {**graph.metadata, "labels": json.dumps(list(prompts))}, has_embedding=True)
        self._open_set = _open_set(path, graph.metadata, prompts, background)
        self._most = try_out(graph, card, self._infer, card.max_batch)
        self.card: ModelCard = replace(card, max_batch=self._most)

    def run(self, waveforms: Samples) -> Answer:
        """float32[batch, samples] to probabilities float32[batch, prompts] and embeddings float32[batch, dims]."""
        return run_rows(self._infer, waveforms, self._most, self._graph.bound)

    def terminate(self) -> None:
        """Break off the inference that is under way; it raises in its thread."""
        self._graph.terminate()

    def _infer(self, waveforms: Samples) -> Answer:
        (embeddings,) = self._graph.run(["embedding"], {"waveform": waveforms})
        return self._open_set.probabilities(embeddings), embeddings


def _open_set(
    path: Path, metadata: Mapping[str, str], prompts: Mapping[str, Sequence[str]], background: Sequence[str]
) -> OpenSet:
    name = metadata.get("text", "")
    if not name:
        raise ModelError(
            f"{path}: made without the text tower that reads prompts: put the tokenizer.json that is published with "
            "the weights into their folder, and import them again"
        )
    if Path(name).name != name:
        raise ModelError(f"{path}: metadata text must be the name of the text tower's files, not {name!r}")
    try:
        scale = float(metadata.get("scale", ""))
    except ValueError:
        scale = 0.0
    if not 0.0 < scale <= 1000.0:
        raise ModelError(f"{path}: metadata scale is {metadata.get('scale')!r}, expected a number up to 1000")
    base = path.with_name(name)
    tower = TextTower(
        graph=Path(f"{base}.text"),
        graph_sha256=metadata.get("text_sha256", ""),
        tokenizer=Path(f"{base}.tokenizer.json"),
        tokenizer_sha256=metadata.get("tokenizer_sha256", ""),
    )
    descriptions = [description for group in prompts.values() for description in group]
    vectors = tower.vectors([*descriptions, *background])
    *groups, others = np.split(vectors, np.cumsum([len(group) for group in prompts.values()]))
    return OpenSet(np.stack([prototype(group) for group in groups]), others, scale)
