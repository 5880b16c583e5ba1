"""Writes small TensorFlow Lite files: layers with 8-bit or float weights that LiteRT can run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

Array = NDArray[Any]
TYPES = {"float32": schema.TensorType.FLOAT32, "int8": schema.TensorType.INT8, "int32": schema.TensorType.INT32}
OPTIONS = {
    schema.BuiltinOperator.CONV_2D: (schema.BuiltinOptions.Conv2DOptions, schema.Conv2DOptionsT),
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: (
        schema.BuiltinOptions.DepthwiseConv2DOptions,
        schema.DepthwiseConv2DOptionsT,
    ),
    schema.BuiltinOperator.FULLY_CONNECTED: (
        schema.BuiltinOptions.FullyConnectedOptions,
        schema.FullyConnectedOptionsT,
    ),
    schema.BuiltinOperator.MEAN: (schema.BuiltinOptions.ReducerOptions, schema.ReducerOptionsT),
}


class TfliteFile:
    """A graph under construction; tensors and operators are added in order."""

    def __init__(self) -> None:
        self._graph = schema.SubGraphT()
        self._graph.tensors, self._graph.operators = [], []
        self._buffers = [schema.BufferT()]  # the first is the empty one, by convention
        self._codes: list[int] = []

    def tensor(self, shape: Sequence[int], kind: str = "float32") -> int:
        """Add a tensor that is computed."""
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer, tensor.name = list(shape), TYPES[kind], 0, b""
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def constant(self, values: Array, scale: Array | None = None, zero: Array | None = None, axis: int = 0) -> int:
        """Add a constant, an 8-bit one with its scales and zero points."""
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self._buffers.append(buffer)
        index = self.tensor(values.shape, str(values.dtype))
        tensor = self._graph.tensors[index]
        tensor.buffer = len(self._buffers) - 1
        if scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = scale.astype(np.float32)
            tensor.quantization.zeroPoint = np.zeros(len(scale), np.int64) if zero is None else zero.astype(np.int64)
            tensor.quantization.quantizedDimension = axis
        return index

    def operator(self, code: int, inputs: Sequence[int], shape: Sequence[int], **options: Any) -> int:
        """Add an operator; return its output."""
        if code not in self._codes:
            self._codes.append(code)
        operator, output = schema.OperatorT(), self.tensor(shape)
        operator.opcodeIndex, operator.inputs, operator.outputs = self._codes.index(code), list(inputs), [output]
        if code in OPTIONS:
            operator.builtinOptionsType, make = OPTIONS[code]
            operator.builtinOptions = make()
            for name, value in options.items():
                setattr(operator.builtinOptions, name, value)
        self._graph.operators.append(operator)
        return output

    def write(self, path: Path, inputs: Sequence[int] = (), outputs: Sequence[int] = ()) -> Path:
        """Finish the file."""
        self._graph.inputs, self._graph.outputs = list(inputs), list(outputs)
        model = schema.ModelT()
        model.version, model.subgraphs, model.buffers = 3, [self._graph], self._buffers
        model.operatorCodes = []
        for code in self._codes:
            entry = schema.OperatorCodeT()
            entry.builtinCode = entry.deprecatedBuiltinCode = code
            entry.version = 1
            model.operatorCodes.append(entry)
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), b"TFL3")
        path.write_bytes(bytes(builder.Output()))
        return path
