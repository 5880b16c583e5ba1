"""A model with a description in its metadata: one ONNX file, from waveforms to probabilities and embeddings."""

from dataclasses import replace
from pathlib import Path

from monitor.classify.card import read_card
from monitor.classify.graph import FLOAT, Graph
from monitor.classify.model import Answer, run_rows, try_out
from monitor.errors import ModelError
from monitor.messages import ModelCard, Samples


class NativeModel:
    """A loaded model. One thread at a time may call `run`."""

    def __init__(self, path: Path, provider: str = "auto", threads: int = 1) -> None:
        """Load and check the file. Raises `ModelError`, also if the configured provider is unavailable."""
        self._graph = graph = Graph(path, provider, threads)
        self.provider: str = graph.provider
        """The execution provider in use."""
        card = read_card(path, graph.metadata)
        if set(graph.inputs) != {"waveform"} or "probabilities" not in graph.outputs:
            raise ModelError(
                f"{path}: expected an input 'waveform' and an output 'probabilities', "
                f"got inputs {', '.join(sorted(graph.inputs))} and outputs {', '.join(sorted(graph.outputs))}"
            )
        for name, (kind, _) in (graph.inputs | graph.outputs).items():
            if name in {"waveform", "probabilities", "embedding"} and kind != FLOAT:
                raise ModelError(f"{path}: {name!r} has type {kind}, expected {FLOAT}")
        self._outputs = ["probabilities"] + ["embedding"] * ("embedding" in graph.outputs)
        self._most = try_out(graph, card, self._infer, _most(card, graph))
        self.card: ModelCard = replace(card, max_batch=self._most)

    def run(self, waveforms: Samples) -> Answer:
        """float32[batch, samples] to probabilities float32[batch, classes] and embeddings float32[batch, dims]."""
        return run_rows(self._infer, waveforms, self._most, self._graph.bound)

    def terminate(self) -> None:
        """Stop the running inference, which raises in its thread."""
        self._graph.terminate()

    def _infer(self, waveforms: Samples) -> Answer:
        answer = self._graph.run(self._outputs, {"waveform": waveforms})
        return answer[0], answer[1] if len(answer) > 1 else None


def _most(card: ModelCard, graph: Graph) -> int | None:
    """Return the most rows in one run, from the card and the shape of the input; None for any number."""
    _, shape = graph.inputs["waveform"]
    if len(shape) != 2 or (isinstance(shape[1], int) and shape[1] != card.window):
        raise ModelError(
            f"{card.path}: metadata window is {card.window} samples, but the input has shape {list(shape)}"
        )
    if isinstance(shape[0], int) and shape[0] != 1:
        raise ModelError(
            f"{card.path}: the graph requires batches of {shape[0]} windows: export it with a free batch, or 1"
        )
    return 1 if shape[0] == 1 else card.max_batch
