"""A model of another project: an ONNX file and the YAML card beside it."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from monitor.classify.features import FRONT_ENDS
from monitor.classify.foreign_card import InputSheet, Sheet, read_sheet
from monitor.classify.graph import FLOAT, Graph, Shape
from monitor.classify.model import Answer, run_rows, try_out
from monitor.errors import ModelError
from monitor.messages import ModelCard, Samples

LENGTHS = "tensor(int64)"
"""ONNX Runtime's word for int64."""


class ForeignModel:
    """A loaded model. `run` may be called from any one thread at a time."""

    def __init__(self, path: Path, sheet_path: Path, provider: str = "auto", threads: int = 1) -> None:
        """Load the file as its card says. Raises `ModelError` that says which of the two does not fit."""
        self._sheet, card = read_sheet(sheet_path, path)
        self._graph = graph = Graph(path, provider, threads)
        self.provider: str = graph.provider
        """The execution provider that ONNX Runtime really uses."""
        self._input = _input(sheet_path, self._sheet.input, graph)
        self._outputs = _outputs(sheet_path, self._sheet, graph)
        front_end = self._sheet.input.front_end
        self._front_end = FRONT_ENDS[front_end] if front_end else None
        sizes = {"samples": card.window}
        if self._front_end is not None:
            sizes = {"frames": self._front_end.frames(card.window), "mels": self._front_end.mels}
        self._length = next(iter(sizes.values()))
        self._layout = self._sheet.input.layout or self._sheet.input.axes
        most = self._fit(sheet_path, graph.inputs[self._input][1], sizes, card.max_batch)
        self._most = try_out(graph, card, self._infer, most)
        self.card: ModelCard = replace(card, max_batch=self._most)
        if self._sheet.output.kind == "logits" and self.run(np.zeros((1, card.window), np.float32))[0].min() >= 0.5:
            raise ModelError(
                f"{sheet_path}: output.kind is logits, but for silence no class is below 0: "
                "these are probably probabilities"
            )

    def run(self, waveforms: Samples) -> Answer:
        """float32[batch, samples] to probabilities float32[batch, classes] and embeddings float32[batch, dims]."""
        return run_rows(self._infer, waveforms, self._most, self._graph.bound)

    def terminate(self) -> None:
        """Break off the inference that is under way; it raises in its thread."""
        self._graph.terminate()

    def _infer(self, waveforms: Samples) -> Answer:
        rows = len(waveforms)
        features = waveforms if self._front_end is None else self._front_end(waveforms)
        feeds = {self._input: self._lay_out(features)}
        lengths = self._sheet.input.lengths
        answer = self._graph.run(
            self._outputs,
            feeds if lengths is None else feeds | {lengths: np.full(rows, self._length, np.int64)},
        )
        scores = answer[0].reshape(rows, -1)
        if self._sheet.output.kind == "logits":
            scores = 0.5 + 0.5 * np.tanh(0.5 * scores)  # the sigmoid, without overflow
        return scores, answer[1].reshape(rows, -1) if len(answer) > 1 else None

    def _lay_out(self, features: Samples) -> Samples:
        """Bring the axes into the order that the graph takes; a layout without a batch gets its only row."""
        axes = self._sheet.input.axes
        if "batch" not in self._layout:
            features, axes = features[0], axes[1:]
        ordered = features.transpose([axes.index(axis) for axis in self._layout if axis != "1"])
        return np.ascontiguousarray(ordered[tuple(None if axis == "1" else slice(None) for axis in self._layout)])

    def _fit(self, sheet_path: Path, shape: Shape, sizes: dict[str, int], most: int | None) -> int | None:
        """Check the graph's shape against the layout; returns how many rows may run together, None for any number."""
        expected = [sizes.get(axis, 1 if axis == "1" else axis) for axis in self._layout]
        free = [not isinstance(dim, int) for dim in shape]
        fits = len(shape) == len(expected) and all(
            free[i] or dim == expected[i] or self._layout[i] == "batch" for i, dim in enumerate(shape)
        )
        if not fits:
            raise ModelError(
                f"{sheet_path}: the window and layout make an input of {expected}, "
                f"but the graph's input {self._input!r} is {list(shape)}"
            )
        if "batch" not in self._layout:
            return 1
        batch = shape[self._layout.index("batch")]
        if isinstance(batch, int) and batch != 1:
            raise ModelError(f"{sheet_path}: the graph takes batches of {batch} windows only; one or any is needed")
        return 1 if batch == 1 else most


def _input(sheet_path: Path, sheet: InputSheet, graph: Graph) -> str:
    """The name of the input for the sound."""
    rest = [name for name in graph.inputs if name != sheet.lengths]
    name = sheet.name or rest[0] if rest else ""
    if rest != [name] or (sheet.lengths is not None and sheet.lengths not in graph.inputs):
        raise ModelError(
            f"{sheet_path}: the graph's inputs are {', '.join(map(repr, graph.inputs))}: "
            "input.name and input.lengths must name them all"
        )
    for given, kind in ((name, FLOAT), (sheet.lengths, LENGTHS)):
        if given is not None and graph.inputs[given][0] != kind:
            raise ModelError(f"{sheet_path}: input {given!r} is a {graph.inputs[given][0]}, expected a {kind}")
    return name


def _outputs(sheet_path: Path, sheet: Sheet, graph: Graph) -> list[str]:
    """The names of the outputs for the scores, and for the embedding where there is one."""
    names = [sheet.output.name or next(iter(graph.outputs), "")]
    names += [sheet.embedding] if sheet.embedding is not None else []
    for name in names:
        if name not in graph.outputs:
            known = ", ".join(map(repr, graph.outputs))
            raise ModelError(f"{sheet_path}: the graph has no output {name!r}; it has {known}")
        if graph.outputs[name][0] != FLOAT:
            raise ModelError(f"{sheet_path}: output {name!r} is a {graph.outputs[name][0]}, expected a {FLOAT}")
    return names
