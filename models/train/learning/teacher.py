"""Google's YAMNet in LiteRT: the teacher whose answers the student learns."""

from __future__ import annotations

from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from ..networks.frontend import WINDOW

Samples = NDArray[np.float32]


class Teacher:
    """Scores one window at a time on one thread."""

    def __init__(self, path: Path) -> None:
        self._interpreter = Interpreter(model_content=with_embedding(path.read_bytes()), num_threads=1)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        outputs = self._interpreter.get_output_details()
        self._scores, self._embedding = outputs[0]["index"], outputs[-1]["index"]

    def __call__(self, window: Samples) -> tuple[Samples, Samples]:
        """Scores [521] in [0, 1] and embedding [1024] of one window [15600] in [-1, 1] at 16 kHz."""
        self._interpreter.set_tensor(self._input, window.reshape(1, WINDOW))
        self._interpreter.invoke()
        scores = np.asarray(self._interpreter.get_tensor(self._scores), np.float32)
        embedding = np.asarray(self._interpreter.get_tensor(self._embedding), np.float32)
        return scores[0].copy(), embedding[0].copy()


def with_embedding(model: bytes) -> bytes:
    """The same TFLite model with its pooled embedding as one more output.

    The published file gives only scores and log-mel, and an intermediate tensor cannot be read once the fast kernels
    have taken the graph over: it has to be an output. The embedding is what the last mean operator writes.
    """
    tree = schema.ModelT.InitFromPackedBuf(model, 0)
    graph = tree.subgraphs[0]
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in tree.operatorCodes]
    means = [operator for operator in graph.operators if codes[operator.opcodeIndex] == schema.BuiltinOperator.MEAN]
    graph.outputs = np.append(graph.outputs, means[-1].outputs[0]).astype(np.int32)
    tree.signatureDefs = None  # they name the outputs one by one and would no longer fit
    builder = flatbuffers.Builder(len(model) + 1_000_000)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())
