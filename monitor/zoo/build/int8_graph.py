"""Inspect and repair a graph for quantisation."""

from collections.abc import Iterable
from pathlib import Path

import onnx
from onnx import TensorProto

from monitor.errors import ModelError

LAYERS = ("Conv", "Gemm", "MatMul")
"""Operators with weights."""
FLOAT_OUTPUT = ("Gemm", "MatMul")
"""Layers whose outputs stay float: most are logits and embeddings, and their kernels support it."""
FOLLOWERS = ("Relu", "Clip", "Add", "AveragePool", "MaxPool")
"""Operators that stay in int8 if all their inputs are int8."""


def load_float(source: Path) -> onnx.ModelProto:
    """Load a float32 model that is one file and takes a waveform. Raises `ModelError` for any other."""
    try:
        model = onnx.load(source, load_external_data=False)
    except FileNotFoundError:
        raise ModelError(f"model file {source} does not exist") from None
    except Exception as error:  # protobuf's errors have no base of their own
        raise ModelError(f"{source}: not an ONNX model") from error
    if [value.name for value in model.graph.input] != ["waveform"]:
        raise ModelError(f"{source}: expected one input 'waveform'")
    if any("Quantize" in node.op_type or "Integer" in node.op_type for node in model.graph.node):
        raise ModelError(f"{source}: already quantised; quantise the float model that it was made of")
    if any(tensor.data_type == TensorProto.FLOAT16 for tensor in model.graph.initializer):
        raise ModelError(f"{source}: in half precision; quantise the float32 model that it was made of")
    if any(tensor.data_location == TensorProto.EXTERNAL for tensor in model.graph.initializer):
        raise ModelError(f"{source}: has weights outside its file; merge them into one file first")
    del model.graph.value_info[:]  # the exporter's shapes contradict those that ONNX Runtime infers
    return model


def nodes_to_quantize(model: onnx.ModelProto, keep: Iterable[str]) -> list[str]:
    """Return the names of the layers with constant weights, and of the nodes after them that can stay in int8.

    `keep`: modules such as "frontend" or "network.head" that stay float with everything below them. A node belongs to a
    module if its own name or a weight's begins with the module's: the exporter names both so.
    """
    prefixes = tuple(name + "." for name in keep)
    constants = {tensor.name for tensor in model.graph.initializer}
    names: list[str] = []
    int8: set[str] = set()
    for node in model.graph.node:
        if any(name.startswith(prefixes) for name in (node.name, *node.input)):
            continue
        if node.op_type in LAYERS:
            chosen = node.input[1] in constants
        else:
            taken = node.input if node.op_type == "Add" else node.input[:1]
            chosen = node.op_type in FOLLOWERS and int8.issuperset(taken)
        if chosen:
            names.append(node.name)
            if node.op_type not in FLOAT_OUTPUT:
                int8.update(node.output)
    return names


def unround_outputs(graph: onnx.GraphProto) -> None:
    """Output in float what the quantiser rounds because a layer also reads it, as an embedding before its head."""
    makers = {name: node for node in graph.node for name in node.output}
    for output in graph.output:
        if makers[output.name].op_type == "DequantizeLinear":
            exact = makers[makers[output.name].input[0]].input[0]
            renamed = {exact: output.name, output.name: output.name + "_rounded"}
            for node in graph.node:
                node.input[:] = [renamed.get(name, name) for name in node.input]
                node.output[:] = [renamed.get(name, name) for name in node.output]
