"""Models of 1 kB with the inputs and outputs of sherpa-onnx's audio taggers, without metadata."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, ValueInfoProto, checker, helper, numpy_helper, save_model

CLASSES = 3


def weights(mels: int) -> NDArray[np.float32]:
    """The weight of each band for each class, float32[mels, classes]."""
    return (np.random.default_rng(mels).standard_normal((mels, CLASSES)) / mels).astype(np.float32)


def write_ced(path: Path, *, batch: int | str = "batch_size") -> Path:
    """Write a model as RicherMans/CED exports it.

    `feats` float32[batch_size, 64, time_dim] to `prob` float32[batch_size, classes]: the sigmoid of the weighted mean
    levels of the bands.
    """
    nodes = [
        helper.make_node("ReduceMean", ["feats"], ["means"], axes=[2], keepdims=0),
        helper.make_node("MatMul", ["means", "weights"], ["scores"]),
        helper.make_node("Sigmoid", ["scores"], ["prob"]),
    ]
    inputs = [helper.make_tensor_value_info("feats", TensorProto.FLOAT, [batch, 64, "time_dim"])]
    return _write(path, nodes, inputs, "prob", 64, batch)


def write_zipformer(path: Path, *, sigmoid: bool = False) -> Path:
    """Write a model as icefall exports it.

    `x` float32[N, T, 80] and `x_lens` int64[N] to `logits` float32[N, classes]: the sums of the weighted bands,
    divided by the lengths. The published files return the `sigmoid` under the same name.
    """
    nodes = [
        helper.make_node("ReduceSum", ["x", "time"], ["sums"], keepdims=0),
        helper.make_node("Cast", ["x_lens"], ["lengths"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["lengths", "time"], ["column"]),
        helper.make_node("Div", ["sums", "column"], ["means"]),
        helper.make_node("MatMul", ["means", "weights"], ["scores"]),
        helper.make_node("Sigmoid" if sigmoid else "Identity", ["scores"], ["logits"]),
    ]
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", "T", 80]),
        helper.make_tensor_value_info("x_lens", TensorProto.INT64, ["N"]),
    ]
    return _write(path, nodes, inputs, "logits", 80, "N")


def write_waveform(path: Path, layout: tuple[int | str, ...] = ("samples",)) -> Path:
    """Write a model for one waveform: `audio` to `loudness` float32[1] and `vector` float32[2], mean and peak."""
    nodes = [
        helper.make_node("Flatten", ["audio"], ["row"], axis=0),
        helper.make_node("Abs", ["row"], ["size"]),
        helper.make_node("ReduceMax", ["size"], ["peak"], axes=[1], keepdims=0),
        helper.make_node("ReduceMean", ["row"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("Identity", ["peak"], ["loudness"]),
        helper.make_node("Concat", ["mean", "peak"], ["vector"], axis=0),
    ]
    graph = helper.make_graph(
        nodes,
        "waveform",
        [helper.make_tensor_value_info("audio", TensorProto.FLOAT, layout)],
        [
            helper.make_tensor_value_info("loudness", TensorProto.FLOAT, [1]),
            helper.make_tensor_value_info("vector", TensorProto.FLOAT, [2]),
        ],
    )
    save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


def _write(
    path: Path, nodes: list[NodeProto], inputs: list[ValueInfoProto], output: str, mels: int, batch: int | str
) -> Path:
    constants = [numpy_helper.from_array(weights(mels), "weights"), numpy_helper.from_array(np.array([1]), "time")]
    graph = helper.make_graph(
        nodes,
        "tagger",
        inputs,
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [batch, CLASSES])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    save_model(model, str(path))
    return path
