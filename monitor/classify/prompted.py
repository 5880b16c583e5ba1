"""A model whose classes are described in words: it compares vectors of sounds with vectors of the descriptions."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.classify.card import read_card
from monitor.classify.graph import FLOAT, Graph
from monitor.classify.model import Answer, run_rows, try_out
from monitor.classify.text_tower import PromptEncoder
from monitor.errors import ConfigError, ModelError
from monitor.messages import ModelCard, Samples

EXAMPLE = "model: {{name: {name}, prompts: {{glass: [a glass breaking, the sound of glass shattering]}}}}"


class PromptedModel:
    """A loaded model whose classes are the configured prompts. One thread at a time may call `run`.

    The file takes `waveform` float32[batch, window] and returns `embedding` float32[batch, dims] of unit length. Its
    metadata has no labels, but: prompts, "required"; scale, the factor of the cosines; text, the name of the text
    tower's files; text_sha256 and tokenizer_sha256, their hashes.
    """

    def __init__(
        self,
        path: Path,
        prompts: Mapping[str, Sequence[str]],
        background: Sequence[str],
        provider: str = "auto",
        threads: int = 1,
    ) -> None:
        """Load the file and encode the descriptions. Raises `ModelError`, and `ConfigError` if there are none."""
        if not prompts:
            raise ConfigError(
                f"model.prompts: missing: {path} requires a description of each sound, for example\n"
                f"  {EXAMPLE.format(name=path.stem)}"
            )
        self._graph = graph = Graph(path, provider, threads)
        self.provider: str = graph.provider
        """The execution provider in use."""
        if set(graph.inputs) != {"waveform"} or graph.outputs.get("embedding", ("",))[0] != FLOAT:
            raise ModelError(f"{path}: expected an input 'waveform' and an output 'embedding' of {FLOAT}")
        card = read_card(path, {**graph.metadata, "labels": json.dumps(list(prompts))})
        self._open_set = _open_set(path, graph.metadata, prompts, background)
        self._most = try_out(graph, card, self._infer, card.max_batch)
        self.card: ModelCard = replace(card, max_batch=self._most)

    def run(self, waveforms: Samples) -> Answer:
        """float32[batch, samples] to probabilities float32[batch, prompts] and embeddings float32[batch, dims]."""
        return run_rows(self._infer, waveforms, self._most, self._graph.bound)

    def terminate(self) -> None:
        """Stop the running inference, which raises in its thread."""
        self._graph.terminate()

    def _infer(self, waveforms: Samples) -> Answer:
        (embeddings,) = self._graph.run(["embedding"], {"waveform": waveforms})
        return self._open_set.probabilities(embeddings), embeddings


class OpenSet:
    """Turns embeddings of sounds into a probability for each description.

    Each sound competes with the background alone: its probability is that of the sound in a softmax over the sound
    and all background descriptions, at the temperature that the model was trained with. This is the score of NegLabel
    (Jiang et al. 2024, arXiv:2403.20078, "Negative Label Guided OOD Detection with Pretrained Vision-Language Models")
    for one positive label; the softmax itself is that of zero-shot classification with CLIP (Radford et al. 2021,
    arXiv:2103.00020) and CLAP (Wu et al. 2023, arXiv:2211.06687). Sounds do not compete with each other: two may occur
    at once, and a threshold stays right when another sound is added. If nothing fits better than the background, all
    are low: with n background descriptions that fit as well, each is at 1 / (n + 1).
    """

    def __init__(self, sounds: Samples, background: Samples, scale: float) -> None:
        """Unit vectors `sounds` float32[sounds, dims] and `background` float32[descriptions, dims].

        `scale`: the inverse of the softmax's temperature.
        """
        self._sounds = sounds
        self._background = background
        self._scale = scale
        self._mask = np.where(_opposed(sounds, background), 0.0, -np.inf)

    def probabilities(self, embeddings: Samples) -> Samples:
        """Unit vectors float32[batch, dims] to float32[batch, sounds] in [0, 1]."""
        background = self._scale * (embeddings @ self._background.T).astype(np.float64)
        against = np.logaddexp.reduce(background[:, None, :] + self._mask, axis=2)
        evidence = self._scale * (embeddings @ self._sounds.T) - against
        return np.asarray(np.exp(-np.logaddexp(0.0, -evidence)), np.float32)


def prototype(vectors: Samples) -> Samples:
    """Return one direction float32[dims] for several phrasings float32[phrasings, dims] of the same thing.

    The mean of the unit vectors, at unit length: the ensemble of prompts of Radford et al. 2021, section 3.1.4.
    """
    mean = vectors.mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean), np.float32)


def _opposed(sounds: Samples, background: Samples) -> NDArray[np.bool_]:
    """bool[sounds, descriptions]: which background descriptions compete with which sounds.

    A description that is closer to a sound than any two of the background are to each other means the same as the
    sound (a sound "speech" and the background "people talking"), and would halve its probability. NegLabel likewise
    selects its negative labels by their distance from the positive ones.
    """
    among = background @ background.T
    np.fill_diagonal(among, -1.0)
    opposed: NDArray[np.bool_] = sounds @ background.T <= among.max()
    return np.logical_or(opposed, ~opposed.any(axis=1, keepdims=True))


def _open_set(
    path: Path, metadata: Mapping[str, str], prompts: Mapping[str, Sequence[str]], background: Sequence[str]
) -> OpenSet:
    """Encode the descriptions with the text tower that the metadata names."""
    name = metadata.get("text", "")
    if not name:
        raise ModelError(
            f"{path}: built without a text tower: put the tokenizer.json published with the weights into their folder, "
            "and import them again"
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
    encoder = PromptEncoder(
        graph=Path(f"{base}.text"),
        graph_sha256=metadata.get("text_sha256", ""),
        tokenizer=Path(f"{base}.tokenizer.json"),
        tokenizer_sha256=metadata.get("tokenizer_sha256", ""),
    )
    descriptions = [description for group in prompts.values() for description in group]
    vectors = encoder.vectors([*descriptions, *background])
    *groups, others = np.split(vectors, np.cumsum([len(group) for group in prompts.values()]))
    return OpenSet(np.stack([prototype(group) for group in groups]), others, scale)
