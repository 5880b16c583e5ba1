"""Cross-layer equalisation: the same function, with channels that share one int8 range fairly.

An activation has one scale for all of its channels: if some are a hundred times louder than others, as between the
separable convolutions of a MobileNet, the quiet ones are lost in rounding. A factor moved from a channel of one
convolution into the weights of the next changes nothing in float, as relu(f x) = f relu(x) for f > 0 (Nagel et al.
2019, arXiv:1906.04721). A depthwise convolution has a scale for each channel's weights and takes any factor: all of
its channels get the same peak. If channels are mixed, the factor is split evenly between activation and weights
(Xiao et al. 2023, arXiv:2211.10438). Peaks are measured: on YAMNet, factors from the weights alone make int8 worse.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, numpy_helper

LEAST = 1e-3
"""Least share of the highest peak or weight that is assumed for a channel, which may be dead."""
TINY = float(np.finfo(np.float32).tiny)

_Weights = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Pair:
    """Names of the tensors of two convolutions of which the second reads only the first."""

    weight: str
    bias: str
    between: str
    """The tensor that the second one reads."""
    next_weight: str
    depthwise: bool
    """Whether the second one has a separate filter for each channel."""


def pairs(graph: onnx.GraphProto) -> Iterator[Pair]:
    """Find pairs of convolutions, directly or through a ReLU, whose weights and tensor between nothing else reads."""
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    readers: dict[str, list[NodeProto]] = {output.name: [NodeProto()] for output in graph.output}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)

    def follower(node: NodeProto) -> NodeProto:
        """The one node that reads the output of `node`; an empty node if there are several."""
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
        weight, bias, (between, next_weight) = first.input[1], first.input[2], second.input[:2]
        if all(name in shapes and len(readers[name]) == 1 for name in (weight, bias, next_weight)):
            channels, width = shapes[weight][0], shapes[next_weight][1]
            if width in (1, channels):  # else it has groups
                yield Pair(weight, bias, between, next_weight, depthwise=width < channels)


def equalize(model: onnx.ModelProto, peaks: Mapping[str, _Weights]) -> None:
    """Rescale the weights of all pairs in place.

    `peaks`: float32[channels] for the tensor between each pair: the largest magnitude in each channel.
    """
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for pair in pairs(model.graph):
        weight, bias, following = (
            np.array(numpy_helper.to_array(tensors[name])) for name in (pair.weight, pair.bias, pair.next_weight)
        )
        by_channel = following if pair.depthwise else following.swapaxes(0, 1)
        factor = _factors(peaks[pair.between], None if pair.depthwise else following)
        weight *= _along_first(factor, weight)
        bias *= factor
        by_channel /= _along_first(factor, by_channel)
        for name, values in ((pair.weight, weight), (pair.bias, bias), (pair.next_weight, following)):
            tensors[name].CopyFrom(numpy_helper.from_array(values, name))


def _factors(peaks: _Weights, mixing: _Weights | None) -> _Weights:
    """Factors for the channels, of geometric mean one; `mixing`: weights [out, channels, ...] that mix them, if any."""
    loudness = np.maximum(peaks, max(LEAST * peaks.max(), TINY))
    if mixing is None:
        factors = 1 / loudness
    else:
        spans = np.abs(mixing).reshape(*mixing.shape[:2], -1).max(axis=2)
        shares = (spans / np.maximum(spans.max(axis=1, keepdims=True), TINY)).max(axis=0)
        factors = np.sqrt(np.maximum(shares, LEAST) / loudness)
    return np.asarray(factors / np.exp(np.log(factors).mean()), np.float32)


def _along_first(factor: _Weights, weights: _Weights) -> _Weights:
    return factor.reshape(-1, *[1] * (weights.ndim - 1))
