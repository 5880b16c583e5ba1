"""A compact ConvNeXt over log-mel (Liu et al., arXiv 2201.03545; for audio Pellegrini et al., arXiv 2306.00830).

Ours departs for the sake of a CPU and of int8: batch normalisation, which folds away, instead of layer normalisation,
and ReLU instead of GELU; three stages instead of four.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .network import Network, normalised, pooled

DEPTHS = (2, 4, 2)
WIDTHS = (48, 96, 192)
KERNEL = 7
EXPANSION = 4


class Block(nn.Module):
    """Depthwise 7x7 convolution, then two pointwise layers with four times the width between, beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, KERNEL, padding=KERNEL // 2, groups=width, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.expand = nn.Conv2d(width, EXPANSION * width, 1)
        self.shrink = nn.Conv2d(EXPANSION * width, width, 1)
        self.scale = nn.Parameter(torch.full((1, width, 1, 1), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # depthwise gradients are twice as fast in float32
            spread = self.norm(self.depthwise(x.float()))
        shrunk: Tensor = self.scale * self.shrink(torch.relu(self.expand(spread)))
        return x + shrunk


class ConvNeXt(Network):
    """Three stages over a map of 16 x 16, 8 x 8 and 4 x 4."""

    def __init__(self) -> None:
        super().__init__(2 * WIDTHS[-1])
        layers: list[nn.Module] = []
        for stage, (width, depth) in enumerate(zip(WIDTHS, DEPTHS, strict=True)):
            inputs, patch = (WIDTHS[stage - 1], 2) if stage else (1, 4)
            layers += [nn.Conv2d(inputs, width, patch, patch, bias=False), nn.BatchNorm2d(width)]
            layers += [Block(width) for _ in range(depth)]
        self.body = nn.Sequential(*layers)

    def features(self, logmel: Tensor, _waveform: Tensor) -> Tensor:
        return pooled(self.body(normalised(logmel)))
