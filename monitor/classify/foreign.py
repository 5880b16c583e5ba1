"""A model of another project: an ONNX file with a YAML card beside it."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from monitor.classify.features import FRONT_ENDS
from monitor.classify.foreign_card import ForeignCard, InputSpec, read_foreign_card
from monitor.classify.graph import FLOAT, Graph, Shape
from monitor.classify.model import Answer, run_rows, try_out
from monitor.errors import ModelError
from monitor.messages import ModelCard, Samples

LENGTHS = "tensor(int64)"
"""ONNX Runtime's name of int64."""


class ForeignModel:
    """A loaded model. One thread at a time may call `run`."""

    def __init__(self, path: Path, card_path: Path, provider: str = "auto", threads: int = 1) -> None:
        """Load the file as its card describes. Raises `ModelError` that names the file or the card."""
        self._spec, card = read_foreign_card(card_path, path)
        self._graph = graph = Graph(path, provider, threads)
        self.provider: str = graph.provider
        """The execution provider in use."""
        self._input = _input(card_path, self._spec.input, graph)
        self._outputs = _outputs(card_path, self._spec, graph)
        front_end = self._spec.input.front_end
        self._front_end = FRONT_ENDS[front_end] if front_end else None
        sizes = {"samples": card.window}
        if self._front_end is not None:
            sizes = {"frames": self._front_end.frames(card.window), "mels": self._front_end.mels}
        self._length = next(iter(sizes.values()))
        self._layout = self._spec.input.layout or self._spec.input.axes
        most = self._fit(card_path, graph.inputs[self._input][1], sizes, card.max_batch)
        self._most = try_out(graph, card, self._infer, most)
        self.card: ModelCard = replace(card, max_batch=self._most)
        if self._spec.output.kind == "logits" and self.run(np.zeros((1, card.window), np.float32))[0].min() >= 0.5:
            raise ModelError(
                f"{card_path}: output.kind is logits, but for silence no class is below 0: "
                "the outputs are probably probabilities"
            )

    def run(self, waveforms: Samples) -> Answer:
        """float32[batch, samples] to probabilities float32[batch, classes] and embeddings float32[batch, dims]."""
        return run_rows(self._infer, waveforms, self._most, self._graph.bound)

    def terminate(self) -> None:
        """Stop the running inference, which raises in its thread."""
        self._graph.terminate()

    def _infer(self, waveforms: Samples) -> Answer:
        rows = len(waveforms)
        features = waveforms if self._front_end is None else self._front_end(waveforms)
        feeds = {self._input: self._lay_out(features)}
        lengths = self._spec.input.lengths
        answer = self._graph.run(
            self._outputs,
            feeds if lengths is None else feeds | {lengths: np.full(rows, self._length, np.int64)},
        )
        scores = answer[0].reshape(rows, -1)
        if self._spec.output.kind == "logits":
            scores = 0.5 + 0.5 * np.tanh(0.5 * scores)  # the sigmoid, without overflow
        return scores, answer[1].reshape(rows, -1) if len(answer) > 1 else None

    def _lay_out(self, features: Samples) -> Samples:
        """Arrange the axes as the graph expects; a layout without a batch gets the only row."""
        axes = self._spec.input.axes
        if "batch" not in self._layout:
            features, axes = features[0], axes[1:]
        ordered = features.transpose([axes.index(axis) for axis in self._layout if axis != "1"])
        return np.ascontiguousarray(ordered[tuple(None if axis == "1" else slice(None) for axis in self._layout)])

    def _fit(self, card_path: Path, shape: Shape, sizes: dict[str, int], most: int | None) -> int | None:
        """Check the graph's shape against the layout; return the most rows in one run, None for any number."""
        expected = [sizes.get(axis, 1 if axis == "1" else axis) for axis in self._layout]
        free = [not isinstance(dim, int) for dim in shape]
        fits = len(shape) == len(expected) and all(
            free[i] or dim == expected[i] or self._layout[i] == "batch" for i, dim in enumerate(shape)
        )
        if not fits:
            raise ModelError(
                f"{card_path}: window and layout require an input of shape {expected}, "
                f"but the graph's input {self._input!r} has shape {list(shape)}"
            )
        if "batch" not in self._layout:
            return 1
        batch = shape[self._layout.index("batch")]
        if isinstance(batch, int) and batch != 1:
            raise ModelError(
                f"{card_path}: the graph requires batches of {batch} windows: export it with a free batch, or 1"
            )
        return 1 if batch == 1 else most


def _input(card_path: Path, spec: InputSpec, graph: Graph) -> str:
    """Return the name of the audio input."""
    rest = [name for name in graph.inputs if name != spec.lengths]
    name = spec.name or rest[0] if rest else ""
    if rest != [name] or (spec.lengths is not None and spec.lengths not in graph.inputs):
        raise ModelError(
            f"{card_path}: the graph's inputs are {', '.join(map(repr, graph.inputs))}: "
            "input.name and input.lengths must name them all"
        )
    for given, kind in ((name, FLOAT), (spec.lengths, LENGTHS)):
        if given is not None and graph.inputs[given][0] != kind:
            raise ModelError(f"{card_path}: input {given!r} has type {graph.inputs[given][0]}, expected {kind}")
    return name


def _outputs(card_path: Path, spec: ForeignCard, graph: Graph) -> list[str]:
    """Return the names of the outputs: the scores, then the embedding if the card names one."""
    names = [spec.output.name or next(iter(graph.outputs), "")]
    names += [spec.embedding] if spec.embedding is not None else []
    for name in names:
        if name not in graph.outputs:
            known = ", ".join(map(repr, graph.outputs))
            raise ModelError(f"{card_path}: the graph has no output {name!r}; it has {known}")
        if graph.outputs[name][0] != FLOAT:
            raise ModelError(f"{card_path}: output {name!r} has type {graph.outputs[name][0]}, expected {FLOAT}")
    return names
