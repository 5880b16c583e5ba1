"""ConvNeXt-Tiny for audio: a modern convolutional network on a log-mel spectrogram, 0.471 mAP on AudioSet.

Source: Liu et al., A ConvNet for the 2020s (2022); Pellegrini et al., Adapting a ConvNeXt model to audio classification
on AudioSet (2023), and the authors' code. Modules are named as in the published weights.
"""

import copy
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from monitor.zoo.build.checkpoint import load_strict, outputs_of
from monitor.zoo.families.audioset import labels
from monitor.zoo.family import Family, StateDict
from monitor.zoo.layers.folding import MelNorm, fold_mel_norm
from monitor.zoo.layers.log_mel import decibel_mel
from monitor.zoo.metadata import Quantization

RATE = 32_000
HOP = 320
BANDS = 224
DEPTHS = (3, 3, 9, 3)
"""Blocks in each stage."""
WIDTHS = (96, 192, 384, 768)
"""Channels in each stage."""
EPSILON = 1e-6
"""Epsilon of each LayerNorm."""
FRONT_END = ("spectrogram_extractor.", "logmel_extractor.")
"""Prefixes of the keys of constants that the published front end keeps as if they were weights."""


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of a map. Runtimes optimise its two transpositions away."""

    def __init__(self, channels: int, affine: bool = True) -> None:
        super().__init__(channels, EPSILON, elementwise_affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        """float32[batch, channels, time, frequency] to the same."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    """A wide filter in each channel, then an MLP at each place of the map, with a residual connection around both."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, EPSILON)
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.pwconv2 = nn.Linear(4 * channels, channels)
        self.gamma = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """float32[batch, channels, time, frequency] to the same."""
        y: Tensor = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        y = self.gamma * self.pwconv2(F.gelu(self.pwconv1(y)))
        return x + y.permute(0, 3, 1, 2)


class FoldedConvNeXtBlock(nn.Module):
    """A block with its scales merged into neighbouring weights, and its MLP as convolutions, faster in int8."""

    def __init__(self, block: ConvNeXtBlock) -> None:
        super().__init__()
        self.dwconv = block.dwconv
        self.norm = ChannelNorm(block.dwconv.out_channels, affine=False)
        first, second, gamma = block.pwconv1, block.pwconv2, block.gamma.double()
        self.pwconv1 = _convolution(
            first.weight.double() * block.norm.weight.double(),
            first.bias.double() + first.weight.double() @ block.norm.bias.double(),
        )
        self.pwconv2 = _convolution(second.weight.double() * gamma[:, None], second.bias.double() * gamma)

    def forward(self, x: Tensor) -> Tensor:
        """float32[batch, channels, time, frequency] to the same."""
        y: Tensor = self.pwconv2(F.gelu(self.pwconv1(self.norm(self.dwconv(x)))))
        return x + y


class ConvNeXt(nn.Module):
    """The whole network, front end included, for windows of any length from about a quarter of a second up."""

    def __init__(self, depths: Sequence[int], widths: Sequence[int], classes: int) -> None:
        super().__init__()
        self.frontend = decibel_mel(RATE, HOP, BANDS)
        self.bn0: nn.Module = MelNorm(BANDS)
        stem = nn.Sequential(nn.Conv2d(1, widths[0], 4, 4, padding=(4, 0)), ChannelNorm(widths[0]))
        halvings = [
            nn.Sequential(ChannelNorm(width), nn.Conv2d(width, wider, 2, 2)) for width, wider in pairwise(widths)
        ]
        self.downsample_layers = nn.ModuleList([stem, *halvings])
        self.stages = nn.ModuleList(
            nn.Sequential(*(ConvNeXtBlock(width) for _ in range(depth)))
            for depth, width in zip(depths, widths, strict=True)
        )
        self.norm = nn.LayerNorm(widths[-1], EPSILON)
        self.head_audioset = nn.Linear(widths[-1], classes)

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """float32[batch, samples] at 32 kHz to float32[batch, classes] in [0, 1] and float32[batch, widths[-1]]."""
        x: Tensor = self.bn0(self.frontend(waveform))[:, None]
        for halving, stage in zip(self.downsample_layers, self.stages, strict=True):
            x = stage(halving(x))
        x = x.mean(3)
        embedding = self.norm(x.amax(2) + x.mean(2))
        return self.head_audioset(embedding).sigmoid(), embedding


def _build(state: StateDict, window: int) -> ConvNeXt:  # noqa: ARG001 - it takes any window
    """Make the network of the published weights. Raises `ModelError`."""
    network = ConvNeXt(DEPTHS, WIDTHS, outputs_of(state, "head_audioset"))
    load_strict(network, state, FRONT_END)
    return network.eval()


def _fold(network: ConvNeXt) -> ConvNeXt:
    """Make an equivalent network with `bn0` merged into the front end, and with folded blocks."""
    folded = copy.deepcopy(network)
    folded.bn0 = fold_mel_norm(folded.frontend, folded.bn0)
    folded.stages = nn.ModuleList(
        nn.Sequential(*(FoldedConvNeXtBlock(block) for block in stage.children() if isinstance(block, ConvNeXtBlock)))
        for stage in folded.stages
    )
    return folded.requires_grad_(False).eval()


def _convolution(weight: Tensor, bias: Tensor) -> nn.Conv2d:
    """A linear layer's float64[out, in] and float64[out] as a convolution."""
    layer = nn.Conv2d(weight.shape[1], weight.shape[0], 1)
    layer.load_state_dict({"weight": weight[:, :, None, None].float(), "bias": bias.float()})
    return layer


FAMILY = Family(
    name="convnext-tiny",
    sample_rate=RATE,
    window=10 * RATE,
    shortest=RATE,
    labels=labels,
    head="head_audioset",
    build=_build,
    fold=_fold,
    licence="MIT",
    source="https://github.com/topel/audioset-convnext-inf",
    description="ConvNeXt-Tiny on log-mel spectrograms: AudioSet mAP 0.471 as published",
    quantization=Quantization("static", keep=("downsample_layers.0", "head_audioset")),
    variable=True,
)
