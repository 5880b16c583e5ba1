"""EfficientAT: MobileNetV3 at several widths, distilled from an ensemble of transformers.

Source: Schmid, Koutini, Widmer, Efficient Large-scale Audio Tagging via Transformer-to-CNN Knowledge Distillation
(2023), arXiv:2211.04772, and the authors' code; Howard et al., Searching for MobileNetV3 (2019), arXiv:1905.02244.
Modules are named as in the published weights.
"""

import copy
from collections import OrderedDict
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from monitor.errors import ModelError
from monitor.zoo.build.checkpoint import load_strict, outputs_of
from monitor.zoo.families.audioset import labels
from monitor.zoo.family import Family, StateDict
from monitor.zoo.layers.folding import fold_sequence
from monitor.zoo.layers.log_mel import EMPHASIS, Spectrum
from monitor.zoo.layers.mel import kaldi_bank, used_bins
from monitor.zoo.metadata import Quantization

RATE = 32_000
FRAME, SIZE, HOP = 800, 1024, 320
BANDS = 128
HIGHEST = 15_000
"""Hertz: the upper end of the highest band."""
OFFSET = 1e-5
"""Added to a band's power before the logarithm."""
MEAN, SPREAD = -4.5, 5.0
"""Subtracted from the logarithms, and what they are divided by."""
EPSILON = 1e-3
"""Epsilon of each batch norm."""
STEM, HIDDEN = 16, 1280
"""Channels of the first layer, and of the hidden layer of the head, at width 1."""
WIDER = 6
"""Channels of the last convolution for each of the last block."""


class BlockShape(NamedTuple):
    """One inverted residual block at width 1."""

    kernel: int
    inside: int
    """Channels between its first and its last convolution."""
    width: int
    """Channels that it gives."""
    squeezes: bool
    """Whether squeeze-excitation weighs its channels."""
    stride: int = 1


BLOCKS = (
    BlockShape(3, 16, 16, False),
    BlockShape(3, 64, 24, False, 2),
    BlockShape(3, 72, 24, False),
    BlockShape(5, 72, 40, True, 2),
    BlockShape(5, 120, 40, True),
    BlockShape(5, 120, 40, True),
    BlockShape(3, 240, 80, False, 2),
    BlockShape(3, 200, 80, False),
    BlockShape(3, 184, 80, False),
    BlockShape(3, 184, 80, False),
    BlockShape(3, 480, 112, True),
    BlockShape(3, 672, 112, True),
    BlockShape(5, 672, 160, True, 2),
    BlockShape(5, 960, 160, True),
    BlockShape(5, 960, 160, True),
)
"""MobileNetV3-Large."""
RECTIFIED = 6
"""Blocks, the first ones, with ReLU instead of hard-swish."""
DELICATE = tuple(f"features.{layer}" for layer in range(RECTIFIED + 1))
"""Stay float in int8: they cause half of its error, hold little, and their large maps are no faster rounded."""
FACTORS = tuple(
    f"features.{number}.block.2" for number, shape in enumerate(BLOCKS, 1) if shape.squeezes and number > RECTIFIED
)
"""The squeeze-excitations stay float too: rounding a few products saves no time."""


def scaled(channels: float) -> int:
    """Round to a multiple of eight, at least eight and at least 90 % of `channels`."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


class EfficientAtLogMel(nn.Module):
    """Normalised logarithm of the power in mel bands, of the differences between neighbouring samples."""

    bank: Tensor

    def __init__(self) -> None:
        super().__init__()
        bank = kaldi_bank(RATE, SIZE, BANDS, 0, HIGHEST)
        used = used_bins(bank)
        self.spectrum = Spectrum(np.hanning(FRAME), SIZE, HOP, used)
        self.register_buffer("bank", torch.from_numpy(bank[used]), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """float32[batch, samples] to float32[batch, bands, frames]."""
        emphasised = waveform[:, 1:] - EMPHASIS * waveform[:, :-1]
        (power,) = self.spectrum(F.pad(emphasised, (FRAME // 2, FRAME // 2), mode="reflect"))
        logarithm: Tensor = (power @ self.bank + OFFSET).log()
        return ((logarithm - MEAN) / SPREAD).transpose(1, 2)


class SqueezeExcitation(nn.Module):
    """A factor for each channel, computed from the means of all channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = scaled(channels // 4)
        self.fc1 = nn.Linear(channels, squeezed)
        self.fc2 = nn.Linear(squeezed, channels)

    def forward(self, x: Tensor) -> Tensor:
        """float32[batch, channels, bands, frames] to the same."""
        factors: Tensor = self.fc2(self.fc1(x.mean((2, 3))).relu()).sigmoid()
        return x * factors[:, :, None, None]


def normed(
    channels: int, width: int, kernel: int, stride: int = 1, groups: int = 1, activation: type[nn.Module] | None = None
) -> nn.Sequential:
    """Make a padded convolution, its batch norm, and an activation."""
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(width, EPSILON),
        *([activation()] if activation else []),
    )


def squeeze_layer(channels: int) -> nn.Sequential:
    """Make the squeeze-excitation under its published name."""
    return nn.Sequential(OrderedDict(conc_se_layers=nn.Sequential(SqueezeExcitation(channels))))


class InvertedResidual(nn.Module):
    """Widen, filter each channel, weigh the channels, and narrow, with a residual connection if the shape stays."""

    def __init__(self, channels: int, shape: BlockShape, factor: float, activation: type[nn.Module]) -> None:
        """`factor`: the width of the network."""
        super().__init__()
        inside, width = scaled(shape.inside * factor), scaled(shape.width * factor)
        self.adds = shape.stride == 1 and channels == width
        self.block = nn.Sequential(
            *([normed(channels, inside, 1, activation=activation)] if inside != channels else []),
            normed(inside, inside, shape.kernel, shape.stride, inside, activation),
            *([squeeze_layer(inside)] if shape.squeezes else []),
            normed(inside, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """float32[batch, channels, bands, frames] to float32[batch, width, bands / stride, frames / stride]."""
        y: Tensor = self.block(x)
        return x + y if self.adds else y


class EfficientAt(nn.Module):
    """The whole network, front end included, for windows of any length."""

    def __init__(self, factor: float, classes: int) -> None:
        """`factor`: the width, 1 for mn10 and 0.4 for mn04."""
        super().__init__()
        self.frontend = EfficientAtLogMel()
        channels = scaled(STEM * factor)
        layers: list[nn.Module] = [normed(1, channels, 3, 2, activation=nn.Hardswish)]
        for number, shape in enumerate(BLOCKS):
            activation = nn.ReLU if number < RECTIFIED else nn.Hardswish
            layers.append(InvertedResidual(channels, shape, factor, activation))
            channels = scaled(shape.width * factor)
        layers.append(normed(channels, WIDER * channels, 1, activation=nn.Hardswish))
        self.features = nn.Sequential(*layers)
        hidden = scaled(HIDDEN * factor)
        self.classifier = nn.ModuleDict({"2": nn.Linear(WIDER * channels, hidden), "5": nn.Linear(hidden, classes)})

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """float32[batch, samples] at 32 kHz to float32[batch, classes] in [0, 1] and float32[batch, channels]."""
        embedding: Tensor = self.features(self.frontend(waveform)[:, None]).mean((2, 3))
        return self.classifier["5"](F.hardswish(self.classifier["2"](embedding))).sigmoid(), embedding


def _build(state: StateDict, window: int) -> EfficientAt:  # noqa: ARG001 - it takes any window
    """Make the network of the published weights, of any width. Raises `ModelError`."""
    hidden = state.get("classifier.2.weight")
    if hidden is None or hidden.ndim != 2:
        raise ModelError(
            "the checkpoint is not of this family: it has no hidden layer 'classifier.2'. Networks with another head, "
            "and dynamic ones (dymn), cannot be imported"
        )
    network = EfficientAt(len(hidden) / HIDDEN, outputs_of(state, "classifier.5"))
    load_strict(network, state)
    return network.eval()


def _fold(network: EfficientAt) -> EfficientAt:
    """Make an equivalent network with the batch norms merged into the convolutions."""
    folded = copy.deepcopy(network)
    for parent in (folded.features, *(layer.block for layer in folded.features if isinstance(layer, InvertedResidual))):
        for number, layer in enumerate(parent):
            if isinstance(layer, nn.Sequential) and isinstance(layer[0], nn.Conv2d):
                parent[number] = fold_sequence(layer)
    return folded


FAMILY = Family(
    name="efficientat",
    sample_rate=RATE,
    window=10 * RATE,
    shortest=RATE // 10,
    labels=labels,
    head="classifier.5",
    build=_build,
    fold=_fold,
    licence="MIT",
    source="https://github.com/fschmid56/EfficientAT",
    description="EfficientAT, MobileNetV3 on log-mel spectrograms: AudioSet mAP 0.432 (mn04) as published",
    quantization=Quantization("static", keep=(*DELICATE, *FACTORS)),
    variable=True,
)
