"""Read the weights of a TensorFlow Lite file, dequantised.

The file is a flatbuffer. Its layers are read in the order in which they run, which suffices to import a known network.
Weights are float32, float16, or 8-bit integers q that stand for scale * (q - zero point), with one scale a tensor or
one a channel (Jacob et al. 2018, arXiv:1712.05877). Nothing in the file runs.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tflite
from numpy.typing import NDArray

from monitor.errors import ModelError

IDENTIFIER = b"TFL3"
"""Bytes 4 to 7 of the file."""
LAYERS = {
    tflite.BuiltinOperator.CONV_2D: "convolution",
    tflite.BuiltinOperator.DEPTHWISE_CONV_2D: "depthwise",
    tflite.BuiltinOperator.FULLY_CONNECTED: "dense",
}
TYPES = {
    tflite.TensorType.FLOAT32: "<f4",
    tflite.TensorType.FLOAT16: "<f2",
    tflite.TensorType.INT8: "i1",
    tflite.TensorType.UINT8: "u1",
}

_Weights = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TfliteLayer:
    """One operator with weights, in TensorFlow's layout."""

    kind: str
    """convolution: [out, height, width, in]; depthwise: [1, height, width, channels]; dense: [out, in]."""
    weight: _Weights
    bias: _Weights
    """[out]; zeros if the file has no bias."""


def read_layers(path: Path) -> list[TfliteLayer]:
    """Read all layers of the file's first graph. Raises `ModelError` for a file that is missing or damaged."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    if content[4:8] != IDENTIFIER:
        raise ModelError(f"{path}: not a TensorFlow Lite file")
    try:
        return list(_layers(tflite.Model.GetRootAs(content)))
    except (struct.error, LookupError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise ModelError(f"{path}: not a complete TensorFlow Lite file of 8-bit or float weights ({error})") from error


def _layers(model: tflite.Model) -> Iterator[TfliteLayer]:
    graph = model.Subgraphs(0)
    stored: dict[int, int] = {}
    for number in range(graph.OperatorsLength()):
        operator = graph.Operators(number)
        code = model.OperatorCodes(operator.OpcodeIndex())
        kind = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())  # the newer field is empty in older files
        if kind == tflite.BuiltinOperator.DEQUANTIZE:
            stored[operator.Outputs(0)] = operator.Inputs(0)
        if kind in LAYERS:
            _, source, *rest = operator.InputsAsNumpy().tolist()
            weight = _tensor(model, graph, stored.get(source, source))
            out = weight.shape[-1] if LAYERS[kind] == "depthwise" else len(weight)
            given = [index for index in rest if index >= 0]
            bias = _tensor(model, graph, given[0]) if given else np.zeros(out, np.float32)
            yield TfliteLayer(LAYERS[kind], weight, bias)


def _tensor(model: tflite.Model, graph: tflite.SubGraph, index: int) -> _Weights:
    """A constant tensor in float32."""
    tensor = graph.Tensors(index)
    data = model.Buffers(tensor.Buffer()).DataAsNumpy()
    values = np.frombuffer(data.tobytes(), np.dtype(TYPES[tensor.Type()])).reshape(tensor.ShapeAsNumpy())
    if values.dtype.kind == "f":
        return values.astype(np.float32)
    quantization = tensor.Quantization()
    shape = [1] * values.ndim
    shape[quantization.QuantizedDimension()] = -1  # -1 is 1 for a tensor with one scale
    scale = quantization.ScaleAsNumpy().astype(np.float32).reshape(shape)
    steps: _Weights = (values.astype(np.int32) - quantization.ZeroPointAsNumpy().reshape(shape)).astype(np.float32)
    return np.asarray(scale * steps, np.float32)
