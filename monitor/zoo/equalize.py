"""Cross-layer equalisation: the same function, with channels that share one int8 range fairly.

An activation has one scale for all of its channels: where some channels are a hundred times larger than others, as
between the separable convolutions of a MobileNet, the small ones drown in the rounding. A factor moved from a
channel of one convolution into the next one's weights changes nothing in float, as relu(f x) = f relu(x) for f > 0.
Factors as in Nagel et al. 2019 (arXiv:1906.04721): a channel's weights span as much before as after.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, numpy_helper

SWEEPS = 20
"""Rounds over all pairs: a convolution is in two of them, so one round does not settle it."""

Weights = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Pair:
    """Names of the tensors of two convolutions, the second fed by the first alone."""

    weight: str
    bias: str
    next_weight: str
    depthwise: bool
    """The second has a filter of its own for each channel."""


def equalize(model: onnx.ModelProto) -> None:
    """Rescale in place the weights of all convolutions that feed, directly or through a ReLU, just one other."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    found = list(pairs(model.graph))
    names = {name for pair in found for name in (pair.weight, pair.bias, pair.next_weight)}
    weights = {name: np.array(numpy_helper.to_array(tensors[name])) for name in names}
    for _ in range(SWEEPS):
        for pair in found:
            _balance(weights, pair)
    for name, values in weights.items():
        tensors[name].CopyFrom(numpy_helper.from_array(values, name))


def pairs(graph: onnx.GraphProto) -> Iterator[Pair]:
    """The pairs of convolutions whose weights, and what runs between them, nothing else reads."""
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    readers: dict[str, list[NodeProto]] = {output.name: [NodeProto()] for output in graph.output}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)

    def follower(node: NodeProto) -> NodeProto:
        """The one node that reads the output of `node`; an empty one if there are more."""
        found = readers.get(node.output[0], ())
        return found[0] if len(found) == 1 else NodeProto()

    for first in graph.node:
        if first.op_type != "Conv" or len(first.input) < 3:
            continue
        second = follower(first)
        if second.op_type == "Relu":
            second = follower(second)
        if second.op_type != "Conv":
            continue
        weight, bias, next_weight = first.input[1], first.input[2], second.input[1]
        if all(name in shapes and len(readers[name]) == 1 for name in (weight, bias, next_weight)):
            channels, width = shapes[weight][0], shapes[next_weight][1]
            if width in (1, channels):  # else in groups
                yield Pair(weight, bias, next_weight, depthwise=width < channels)


def _balance(weights: dict[str, Weights], pair: Pair) -> None:
    """Even out the spans of each channel's weights in the two convolutions."""
    first, second = weights[pair.weight], weights[pair.next_weight]
    channels = len(first)
    by_channel = second if pair.depthwise else second.swapaxes(0, 1)
    before = np.abs(first).reshape(channels, -1).max(axis=1)
    after = np.abs(by_channel).reshape(channels, -1).max(axis=1)
    alive = (before > 0) & (after > 0)
    factor = np.sqrt(np.divide(after, before, out=np.ones_like(before), where=alive))
    first *= factor[:, None, None, None]
    weights[pair.bias] *= factor
    by_channel /= factor[:, None, None, None]
