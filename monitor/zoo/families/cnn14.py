"""CNN14 of the PANNs: six blocks of two 3x3 convolutions."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its usual name

from monitor.zoo.families.panns import Panns, panns_family, picture_block

WIDTHS = (64, 128, 256, 512, 1024, 2048)
"""Channels of the blocks."""


class Cnn14(Panns):
    """Six blocks; a pool halves both axes after each except the last."""

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        """`widths`: channels of the six blocks; the embedding has as many values as the last."""
        super().__init__(widths[-1], widths[-1])
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


FAMILY = panns_family("panns-cnn14", Cnn14, 0.431)
