"""CNN14 of the PANNs: six blocks of two 3x3 convolutions; and Wavegram-Logmel-CNN14.

The latter has a second input: a map that it learns from the waveform itself.
"""

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from monitor.errors import ModelError
from monitor.zoo.families.panns import HOP, RATE, CnnBlock, Panns, load_panns, panns_family, picture_block
from monitor.zoo.family import StateDict
from monitor.zoo.layers.folding import fold_norm

WIDTHS = (64, 128, 256, 512, 1024, 2048)
"""Channels of the blocks."""

DRAWN = (64, 64, 128, 128)
"""Channels of the convolutions over the waveform."""

HEIGHT = 32
"""Bands of the map: as many as the first block leaves of the log-mel's."""


class Cnn14(Panns):
    """Six blocks; a pool halves both axes after each except the last."""

    def __init__(self, classes: int, widths: Sequence[int] = WIDTHS) -> None:
        """`widths`: channels of the six blocks; the embedding has as many values as the last."""
        super().__init__(widths[-1], widths[-1], classes)
        self.conv_block1 = picture_block(1, widths[0])
        self.conv_block2 = picture_block(widths[0], widths[1])
        self.conv_block3 = picture_block(widths[1], widths[2])
        self.conv_block4 = picture_block(widths[2], widths[3])
        self.conv_block5 = picture_block(widths[3], widths[4])
        self.conv_block6 = picture_block(widths[4], widths[5])

    def extract(self, mel: Tensor) -> Tensor:
        """See `Panns.extract`."""
        return self.upper(self.first(mel))

    def first(self, mel: Tensor) -> Tensor:
        """`mel` float32[batch, 1, frames, bands] to float32[batch, width, frames // 2, bands // 2]."""
        return F.avg_pool2d(self.conv_block1(mel), 2)

    def upper(self, x: Tensor) -> Tensor:
        """Run the output of the first block through the others."""
        for block in (self.conv_block2, self.conv_block3, self.conv_block4, self.conv_block5):
            x = F.avg_pool2d(block(x), 2)
        features: Tensor = self.conv_block6(x)
        return features


def wave_block(channels: int, width: int) -> CnnBlock:
    """Make convolutions over time: float32[batch, `channels`, steps] to `width` channels."""
    conv1 = nn.Conv1d(channels, width, 3, padding=1, bias=False)
    conv2 = nn.Conv1d(width, width, 3, padding=2, dilation=2, bias=False)
    return CnnBlock(conv1, conv2, nn.BatchNorm1d)


class WavegramLogmelCnn14(Cnn14):
    """CNN14 whose second block takes the first one's output and the map of the waveform."""

    def __init__(self, classes: int, widths: Sequence[int] = WIDTHS, drawn: Sequence[int] = DRAWN) -> None:
        """`widths`: channels of the six blocks; `drawn`: of the waveform's, the last a multiple of `HEIGHT`."""
        super().__init__(classes, widths)
        self.pre_conv0 = nn.Conv1d(1, drawn[0], 11, stride=5, padding=5, bias=False)
        self.pre_bn0: nn.Module = nn.BatchNorm1d(drawn[0])
        self.pre_block1 = wave_block(drawn[0], drawn[1])
        self.pre_block2 = wave_block(drawn[1], drawn[2])
        self.pre_block3 = wave_block(drawn[2], drawn[3])
        self.pre_block4 = picture_block(drawn[3] // HEIGHT, widths[0])
        self.conv_block2 = picture_block(2 * widths[0], widths[1])

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """See `Panns.forward`."""
        both = (self.first(self.mel(waveform)), self.picture(waveform))
        return self.answer(self.upper(torch.cat(both, dim=1)))

    def picture(self, waveform: Tensor) -> Tensor:
        """float32[batch, samples] to float32[batch, width, samples // 640, bands]."""
        x = torch.relu(self.pre_bn0(self.pre_conv0(waveform[:, None].to(self.pre_conv0.weight.dtype))))
        for block in (self.pre_block1, self.pre_block2, self.pre_block3):
            x = F.max_pool1d(block(x), 4)
        picture = x.reshape(x.shape[0], -1, HEIGHT, x.shape[2]).transpose(2, 3)
        return F.avg_pool2d(self.pre_block4(picture), (2, 1))

    def fold(self) -> None:
        """See `Panns.fold`."""
        super().fold()
        self.pre_conv0, self.pre_bn0 = fold_norm(self.pre_conv0, self.pre_bn0)


def _build(state: StateDict, window: int) -> WavegramLogmelCnn14:
    """See `Family.build`. The map is as long as the log-mel only in windows of whole multiples of 20 ms."""
    if window % (2 * HOP):
        raise ModelError(
            f"invalid window of {window} samples: this family takes multiples of {2 * HOP} (20 ms at {RATE} Hz)"
        )
    return load_panns(WavegramLogmelCnn14, state)


CNN14 = panns_family("panns-cnn14", Cnn14, 0.431)

WAVEGRAM = dataclasses.replace(
    panns_family("panns-wavegram-logmel-cnn14", WavegramLogmelCnn14, 0.439),
    shortest=32 * HOP,
    variable=False,
    build=_build,
)
