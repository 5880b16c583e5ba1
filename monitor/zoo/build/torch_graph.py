"""Turn a PyTorch network into an ONNX graph whose nodes are named by their modules, without traces of this machine."""

import ast
import copy
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import onnx
import torch
from torch import Tensor, nn

from monitor.errors import ModelError

OPSET = 20
"""At 18, GELU becomes a chain of operators that ONNX Runtime does not fuse."""

SCOPES = "pkg.torch.onnx.name_scopes"
"""Key under which the exporter records the modules around a node."""

OUTPUTS = ("probabilities", "embedding")
"""Outputs of a network, in this order."""


def to_onnx(network: nn.Module, window: int, shortest: int | None, outputs: Sequence[str] = OUTPUTS) -> onnx.ModelProto:
    """Export a network that takes `waveform`, of `window` samples or of any number from `shortest` up."""
    shape: dict[int, torch.export.Dim] = {0: torch.export.Dim("batch", min=1, max=4096)}
    if shortest is not None:
        shape[1] = torch.export.Dim("samples", min=shortest)
    example = 0.1 * torch.randn(2, window, generator=torch.Generator().manual_seed(0))
    return graph_of(network, example, "waveform", shape, outputs)


def graph_of(
    network: nn.Module, example: Tensor, name: str, shape: Mapping[int, torch.export.Dim], outputs: Sequence[str]
) -> onnx.ModelProto:
    """Export a network with one input, called `name`, shaped like `example` except for the free axes in `shape`.

    Nodes are named by the modules that they come from: `block1.conv1.Conv_7`. Raises `ModelError`.
    """
    with _quiet_exporter():
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[name],
            output_names=outputs,
            dynamic_shapes=(shape,),
            verbose=False,
        )
    if program is None:
        raise ModelError("the network cannot be exported")
    model = program.model_proto
    for number, node in enumerate(model.graph.node):
        node.name = f"{_module(node)}{node.op_type}_{number}"
    _strip_traces(model)
    return model


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence the exporter's messages to its own developers."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


class Half(nn.Module):
    """A network in float16 except for its inputs, outputs and front end, whose powers span more than float16 does."""

    def __init__(self, network: nn.Module) -> None:
        """`network`: has its front end in a module called `frontend`, which returns one tensor."""
        super().__init__()
        self.network = copy.deepcopy(network).half()
        frontend = self.network.get_submodule("frontend").float()
        frontend.register_forward_hook(lambda _module, _inputs, output: output.half())

    def forward(self, waveform: Tensor) -> tuple[Tensor, ...]:
        """Run the network, float32 in and out."""
        return tuple(answer.float() for answer in self.network(waveform))


def _module(node: onnx.NodeProto) -> str:
    """The path of the module that a node comes from, and a dot; empty for the network itself."""
    scopes = next((entry.value for entry in node.metadata_props if entry.key == SCOPES), "[]")
    modules = [scope for scope in ast.literal_eval(scopes)[:-1] if scope and not scope.startswith("_")]
    return modules[-1] + "." if modules else ""


def _strip_traces(model: onnx.ModelProto) -> None:
    """Remove the source lines that the exporter records: they contain local paths."""
    graph = model.graph
    for item in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        del item.metadata_props[:]
        item.doc_string = ""
    del graph.metadata_props[:]
    del graph.value_info[:]
    del model.metadata_props[:]
