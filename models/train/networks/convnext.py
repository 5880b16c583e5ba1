"""A compact ConvNeXt over log-mel (Liu et al., arXiv 2201.03545; for audio Pellegrini et al., arXiv 2306.00830).

Ours departs for the sake of a CPU and of int8: batch normalisation, which folds away, instead of layer normalisation,
and ReLU instead of GELU. And for the sake of little data: where ConvNeXt cuts patches and works on large maps, ours has
the first stages of the distilled log-mel branch, dense convolutions that learn several times faster; its own blocks
follow on the small maps (after Xiao et al., arXiv 2106.14881, who give transformers such a stem).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .network import Branch, BranchAlone, Network, pooled

STEM = (24, 40, 80)
"""Widths of the branch's stages that are kept."""
WIDTHS = (STEM[-1], 192)
DEPTHS = (3, 4)
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
    """The branch's first stages to a map of 8 x 8, then blocks there and on one of 4 x 4."""

    def __init__(self) -> None:
        super().__init__(2 * WIDTHS[-1])
        self.branch = Branch(STEM)
        self.blocks = nn.Sequential(
            *(Block(WIDTHS[0]) for _ in range(DEPTHS[0])),
            nn.Conv2d(*WIDTHS, 3, 2, 1, bias=False),
            nn.BatchNorm2d(WIDTHS[1]),
            *(Block(WIDTHS[1]) for _ in range(DEPTHS[1])),
        )

    def adopt(self, alone: BranchAlone) -> None:
        """Start from a distilled branch: its first stages, and what its heads make of an embedding."""
        known = self.branch.state_dict()
        self.branch.load_state_dict({key: value for key, value in alone.branch.state_dict().items() if key in known})
        for head in ("classes", "events", "project"):
            getattr(self.heads, head).load_state_dict(getattr(alone.heads, head).state_dict())

    def features(self, logmel: Tensor, _waveform: Tensor) -> Tensor:
        return pooled(self.blocks(self.branch(logmel)))
