"""The MobileNets of the PANNs, on depthwise 3x3 and pointwise convolutions.

V1 alternates the two; V2 has narrow maps between blocks that widen, filter and narrow again.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from monitor.zoo.families.panns import Panns, panns_family
from monitor.zoo.layers.folding import fold_sequence
from monitor.zoo.metadata import Quantization

SeparableStage = tuple[int, int]
"""Channels out, and the factor that both axes shrink by."""

STAGES_V1: tuple[SeparableStage, ...] = (
    (32, 2),
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
)


def plain_layer(width: int, shrink: int) -> nn.Sequential:
    """Make a convolution of the log-mel to `width` channels, and a pool by `shrink`."""
    conv = nn.Conv2d(1, width, 3, padding=1, bias=False)
    return nn.Sequential(conv, nn.AvgPool2d(shrink), nn.BatchNorm2d(width), nn.ReLU())


def separable_layer(channels: int, width: int, shrink: int) -> nn.Sequential:
    """Make a filter for each of `channels`, a pool by `shrink`, and a pointwise mixture to `width` channels."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        nn.AvgPool2d(shrink),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, width, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    )


class MobileNetV1(Panns):
    """A plain convolution, then separable ones."""

    def __init__(self, classes: int, stages: Sequence[SeparableStage] = STAGES_V1) -> None:
        """`stages`: the first is the plain convolution's; the embedding has as many values as the last has channels."""
        last, _ = stages[-1]
        super().__init__(last, last, classes)
        layers = [plain_layer(*stages[0])]
        for (channels, _), (width, shrink) in pairwise(stages):
            layers.append(separable_layer(channels, width, shrink))
        self.features = nn.Sequential(*layers)

    def extract(self, mel: Tensor) -> Tensor:
        """See `Panns.extract`."""
        features: Tensor = self.features(mel)
        return features

    def fold(self) -> None:
        """See `Panns.fold`."""
        super().fold()
        self.features = nn.Sequential(*map(fold_sequence, self.features))


BottleneckStage = tuple[int, int, int, int]
"""Factor of the width inside, channels out, blocks, and the factor by which the first block shrinks both axes."""

STAGES_V2: tuple[BottleneckStage, ...] = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 2),
    (6, 160, 3, 1),
    (6, 320, 1, 1),
)

FIRST, LAST = 32, 1280
"""Channels of the convolutions before and after the stages."""

DIMS = 1024
"""Values in the embedding."""


class Bottleneck(nn.Module):
    """Widen, filter each channel, and narrow; the input is added if it has the shape of the output."""

    def __init__(self, channels: int, width: int, wider: int, shrink: int) -> None:
        """`channels` in, `width` out, `wider` times as many inside."""
        super().__init__()
        inside = channels * wider
        widen = (nn.Conv2d(channels, inside, 1, bias=False), nn.BatchNorm2d(inside), nn.ReLU6())
        self.conv = nn.Sequential(
            *(widen if wider > 1 else ()),
            nn.Conv2d(inside, inside, 3, padding=1, groups=inside, bias=False),
            nn.AvgPool2d(shrink),
            nn.BatchNorm2d(inside),
            nn.ReLU6(),
            nn.Conv2d(inside, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.adds = shrink == 1 and channels == width

    def forward(self, x: Tensor) -> Tensor:
        """float32[batch, channels, frames, bands] to float32[batch, width, frames // shrink, bands // shrink]."""
        narrow: Tensor = self.conv(x)
        return x + narrow if self.adds else narrow


class MobileNetV2(Panns):
    """A convolution, stages of bottlenecks, and a pointwise convolution."""

    def __init__(
        self,
        classes: int,
        first: int = FIRST,
        stages: Sequence[BottleneckStage] = STAGES_V2,
        last: int = LAST,
        dims: int = DIMS,
    ) -> None:
        """`first` and `last`: channels before and after the `stages`; `dims` of the embedding."""
        super().__init__(last, dims, classes)
        conv = nn.Conv2d(1, first, 3, padding=1, bias=False)
        layers: list[nn.Module] = [nn.Sequential(conv, nn.AvgPool2d(2), nn.BatchNorm2d(first), nn.ReLU6())]
        channels = first
        for wider, width, blocks, shrink in stages:
            for block in range(blocks):
                layers.append(Bottleneck(channels, width, wider, shrink if block == 0 else 1))
                channels = width
        layers.append(nn.Sequential(nn.Conv2d(channels, last, 1, bias=False), nn.BatchNorm2d(last), nn.ReLU6()))
        self.features = nn.Sequential(*layers)

    def extract(self, mel: Tensor) -> Tensor:
        """See `Panns.extract`."""
        features: Tensor = self.features(mel)
        return features

    def fold(self) -> None:
        """See `Panns.fold`."""
        super().fold()
        for number, layer in enumerate(self.features):
            if isinstance(layer, Bottleneck):
                layer.conv = fold_sequence(layer.conv)
            else:
                self.features[number] = fold_sequence(layer)


MOBILENET_V1 = panns_family("panns-mobilenetv1", MobileNetV1, 0.389, Quantization(equalise=True))

MOBILENET_V2 = panns_family("panns-mobilenetv2", MobileNetV2, 0.383)
