"""A network as an exported file left it: the float ONNX files are the only checkpoints that are kept.

An export folds each normalisation into the convolution before it. Back in the network the normalisation first does
nothing but add what the fold added; before training goes on, `unfold` gives it the mean and the spread that really
come out of its convolution, and the answer stays the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import NodeProto, numpy_helper
from torch import Tensor, nn

from .convnext import Block
from .network import HIDDEN, Network

PREFIX = "network."
"""What the names of a network's weights begin with in a file."""
ORDER = (0, 2, 3, 1)
"""PyTorch's order of the gates of an LSTM, counted in ONNX's: input, output, forget, cell."""


def warm(network: Network, path: Path) -> None:
    """Take over all weights from a float file that this recipe exported; of an older one, all up to the embedding."""
    graph = onnx.load(path).graph
    values = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer}
    modules = dict(network.named_modules())
    for module in modules.values():
        if isinstance(module, Block):
            nn.init.ones_(module.scale)  # it is in the file's weights
    with torch.no_grad():
        for node in graph.node:
            name = next((i for i in node.input[1:] if i.startswith(PREFIX) and i.endswith(".weight")), "")
            module = modules.get(name.removeprefix(PREFIX).removesuffix(".weight"))
            if node.op_type == "Conv" and isinstance(module, nn.Conv2d):
                _convolution(module, _norm_of(module, modules), [values[i] for i in node.input[1:]])
            elif node.op_type == "LSTM":
                _lstm(modules["wave.lstm"], [values[i] for i in node.input[1:4]])
            elif node.op_type == "MatMul" and node.name.startswith(f"{PREFIX}realign."):
                _product(node, modules, values)
            elif isinstance(module, nn.Linear):
                module.weight.copy_(values[name])
                if module.bias is not None:
                    module.bias.copy_(values[name.removesuffix("weight") + "bias"])
        if values["answers.weight"].shape[1] == HIDDEN:  # not from a file of the time before the hidden layer
            _answers(network, values["answers.weight"], values["answers.bias"])


def unfold(network: Network, windows: Iterable[Tensor]) -> None:
    """Give every normalisation the statistics of what comes out of its convolution over `windows` [batch, 15600]."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    sums = {norm: torch.zeros(3, norm.num_features, dtype=torch.float64) for norm in norms}

    def note(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0].double()
        count = torch.full((x.shape[1],), x.numel() / x.shape[1], dtype=torch.float64)
        sums[norm] += torch.stack((count, x.sum(dim=(0, 2, 3)), x.square().sum(dim=(0, 2, 3))))  # type: ignore[index]

    handles = [norm.register_forward_pre_hook(note) for norm in norms]
    with torch.inference_mode():
        for batch in windows:
            network(batch)
    for handle in handles:
        handle.remove()
    with torch.no_grad():
        for norm in norms:
            count, total, squares = sums[norm]
            mean = total / count
            variance = (squares / count - mean.square()).clamp_min(1e-8)
            known_mean, known_variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
            gain = norm.weight / torch.sqrt(known_variance + norm.eps)
            shift = norm.bias - gain * known_mean
            norm.weight.copy_(gain * torch.sqrt(variance + norm.eps))
            norm.bias.copy_(shift + gain * mean)
            known_mean.copy_(mean)
            known_variance.copy_(variance)


def _norm_of(convolution: nn.Conv2d, modules: dict[str, nn.Module]) -> nn.BatchNorm2d | None:
    """The normalisation that follows a convolution, by the order in which the modules are listed."""
    listed = [module for module in modules.values() if isinstance(module, nn.Conv2d | nn.BatchNorm2d)]
    following = listed[listed.index(convolution) + 1 : listed.index(convolution) + 2]
    return following[0] if following and isinstance(following[0], nn.BatchNorm2d) else None


def _convolution(convolution: nn.Conv2d, norm: nn.BatchNorm2d | None, values: list[Tensor]) -> None:
    convolution.weight.copy_(values[0])
    if norm is None and convolution.bias is not None:
        convolution.bias.copy_(values[1])
    elif norm is not None:
        nn.init.ones_(norm.weight)
        norm.bias.copy_(values[1])
        norm.get_buffer("running_mean").zero_()
        norm.get_buffer("running_var").fill_(1.0 - norm.eps)


def _answers(network: Network, weight: Tensor, bias: Tensor) -> None:
    """The layer that answers for both heads, calibrated as it is."""
    both = network.heads.classes, network.heads.events
    sizes = [head.out_features for head in both]
    for head, part, offset in zip(both, torch.split(weight, sizes), torch.split(bias, sizes), strict=True):
        head.weight.copy_(part)
        head.bias.copy_(offset)


def _lstm(lstm: nn.Module, values: list[Tensor]) -> None:
    """Weights of both directions [2, 4 x units, inputs], of the state, and both biases [2, 8 x units]."""
    inputs, state, biases = values
    units = state.shape[2]
    rows = torch.from_numpy(np.concatenate([np.arange(units) + units * gate for gate in ORDER]))
    for direction, suffix in enumerate(("_l0", "_l0_reverse")):
        lstm.get_parameter(f"weight_ih{suffix}").copy_(inputs[direction, rows])
        lstm.get_parameter(f"weight_hh{suffix}").copy_(state[direction, rows])
        lstm.get_parameter(f"bias_ih{suffix}").copy_(biases[direction, : 4 * units][rows])
        lstm.get_parameter(f"bias_hh{suffix}").copy_(biases[direction, 4 * units :][rows])


def _product(node: NodeProto, modules: dict[str, nn.Module], values: dict[str, Tensor]) -> None:
    """A layer of the attention: its weight turned round under a name of its own, but the keys' as it is."""
    for part in ("query", "value"):
        if node.name.startswith(f"{PREFIX}realign.{part}."):
            layer = modules[f"realign.{part}"]
            layer.get_parameter("weight").copy_(values[node.input[1]].T)
            layer.get_parameter("bias").copy_(values[f"{PREFIX}realign.{part}.bias"])
    if node.input[1] == f"{PREFIX}realign.key.weight":
        modules["realign.key"].get_parameter("weight").copy_(values[node.input[1]])
