"""An exported graph made plainer: what is constant is worked out once, and what is absent stays absent.

PyTorch gives an LSTM initial states of zeros, whose shape the graph works out from the batch on each run; ONNX takes
their absence for zeros. To put the answers of both directions side by side the graph asks for their shape, which is
known. And a factor for each channel behind a convolution can be in its weights, where it costs nothing and lets what
follows run in int8.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

STATES = 5
"""Inputs of an LSTM before its optional initial states."""
SIDE_BY_SIDE = "lstm_side_by_side"
"""The constant shape [batch, time, units of both directions]."""


def tidy(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model`, changed in place: the same answers. Its LSTMs, if any, start from zeros and answer batch first."""
    graph = model.graph
    for node in list(graph.node):
        if node.op_type == "LSTM":
            _simplify_lstm(graph, node)
        elif node.op_type == "Mul":
            _fold_scale(graph, node)
    graph.initializer.append(numpy_helper.from_array(np.array([0, 0, -1]), SIDE_BY_SIDE))
    _drop_unread(graph)
    return model


def _simplify_lstm(graph: onnx.GraphProto, lstm: NodeProto) -> None:
    del lstm.input[STATES:]
    swapped = _reader(graph, lstm, "Transpose")
    reshaped = _reader(graph, swapped, "Reshape")
    batch_first = _reader(graph, reshaped, "Transpose")
    swapped.attribute[0].CopyFrom(helper.make_attribute("perm", [2, 0, 1, 3]))  # time, direction, batch, unit
    reshaped.input[1] = SIDE_BY_SIDE
    reshaped.output[0] = batch_first.output[0]
    graph.node.remove(batch_first)


def _fold_scale(graph: onnx.GraphProto, scaling: NodeProto) -> None:
    """Take a factor [1, channels, 1, 1] into the convolution whose answer it scales, where there is one."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    convolutions = {node.output[0]: node for node in graph.node if node.op_type == "Conv"}
    scale = next((constants[name] for name in scaling.input if name in constants), None)
    convolution = next((convolutions[name] for name in scaling.input if name in convolutions), None)
    if scale is None or convolution is None or scale.dims[2:] != [1, 1]:
        return
    factor = numpy_helper.to_array(scale)
    for name, shape in zip(convolution.input[1:], ((-1, 1, 1, 1), (-1,)), strict=False):
        _multiply(constants[name], factor.reshape(shape))
    convolution.output[0] = scaling.output[0]
    graph.node.remove(scaling)


def _multiply(tensor: TensorProto, factor: NDArray[np.float32]) -> None:
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * factor, tensor.name))


def _reader(graph: onnx.GraphProto, source: NodeProto, kind: str) -> NodeProto:
    """The node of this kind that reads the first output of `source`."""
    readers = (node for node in graph.node if node.input and node.input[0] == source.output[0])
    found: NodeProto = next(node for node in readers if node.op_type == kind)
    return found


def _drop_unread(graph: onnx.GraphProto) -> None:
    """Leave out nodes and constants that nothing reads, the last first."""
    read = {output.name for output in graph.output}
    for node in reversed(list(graph.node)):
        if read.isdisjoint(node.output):
            graph.node.remove(node)
        else:
            read.update(node.input)
    for tensor in list(graph.initializer):
        if tensor.name not in read:
            graph.initializer.remove(tensor)
