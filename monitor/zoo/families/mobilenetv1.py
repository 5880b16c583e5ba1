"""MobileNetV1 of the PANNs: alternating depthwise 3x3 and pointwise convolutions."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from monitor.zoo.families.panns import Panns, panns_family
from monitor.zoo.layers.folding import fold_sequence
from monitor.zoo.metadata import Quantization

SeparableStage = tuple[int, int]
"""Channels out, and the factor that both axes shrink by."""

STAGES: tuple[SeparableStage, ...] = (
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

    def __init__(self, stages: Sequence[SeparableStage] = STAGES) -> None:
        """`stages`: the first is the plain convolution's; the embedding has as many values as the last has channels."""
        last, _ = stages[-1]
        super().__init__(last, last)
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


FAMILY = panns_family("panns-mobilenetv1", MobileNetV1, 0.389, Quantization(equalise=True))
