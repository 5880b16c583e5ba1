"""A model that takes minutes for a loud window, for tests during an inference."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, load_model, numpy_helper, save_model

from tests.parts.tiny_model import write_tiny_model

SIZE, TURNS = 200, 1_000_000


def write_slow_model(path: Path) -> Path:
    """Write the tiny model, changed to take minutes for a window with a peak above 0.5; return the path."""
    model = load_model(str(write_tiny_model(path)))
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["square", "turn"], ["turned"]),
            helper.make_node("Identity", ["going"], ["still_going"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("square", TensorProto.FLOAT, [SIZE, SIZE]),
        ],
        [
            helper.make_tensor_value_info("still_going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("turned", TensorProto.FLOAT, [SIZE, SIZE]),
        ],
    )
    model.graph.node[-1].output[0] = "plain"
    model.graph.node.extend(
        [
            helper.make_node("ReduceMax", ["waveform"], ["top"], keepdims=0),
            helper.make_node("Greater", ["top", "half"], ["loud_enough"]),
            helper.make_node("Cast", ["loud_enough"], ["one_or_none"], to=TensorProto.INT64),
            helper.make_node("Mul", ["one_or_none", "turns"], ["trips"]),
            helper.make_node("Loop", ["trips", "", "turn"], ["last"], body=body),
            helper.make_node("ReduceMin", ["last"], ["least"], keepdims=0),
            helper.make_node("Min", ["least", "nothing"], ["added"]),
            helper.make_node("Add", ["plain", "added"], ["embedding"]),
        ]
    )
    constants: dict[str, NDArray[np.generic]] = {
        "turn": np.eye(SIZE, dtype=np.float32),
        "half": np.array(0.5, np.float32),
        "nothing": np.array(0.0, np.float32),
        "turns": np.array(TURNS, np.int64),
    }
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    save_model(model, str(path))
    return path
