"""The parts that all PANNs share: the front end, the pooling, and the two layers on top.

Source: Kong et al., PANNs: Large-Scale Pretrained Audio Neural Networks for Audio Pattern Recognition (2020). Modules
are named as in the published checkpoints.
"""

import copy
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from monitor.errors import ModelError
from monitor.zoo.build.checkpoint import load_strict, outputs_of
from monitor.zoo.families import audioset
from monitor.zoo.family import Family, StateDict
from monitor.zoo.layers.folding import MelNorm, fold_mel_norm, fold_norm
from monitor.zoo.layers.log_mel import decibel_mel
from monitor.zoo.metadata import Quantization

RATE = 32_000
"""Hertz"""

HOP = 320
"""Samples from one frame to the next."""

BANDS = 64

WINDOW = 10 * RATE
"""Samples of the clips that the networks were trained on."""

SHORTEST = 31 * HOP
"""Samples of 32 frames: the time axis is halved five times."""

LICENCE = "CC-BY-4.0"
"""Licence of the weights; the code that they were published with is under the MIT licence."""

SOURCE = "PANNs by Kong et al., https://zenodo.org/records/3987831"

FRONT_END = ("spectrogram_extractor.", "logmel_extractor.")
"""Prefixes of the keys of constants that the published front end keeps as if they were weights."""

FRONT_END_SHAPES = {
    "spectrogram_extractor.stft.conv_real.weight": (513, 1, 1024),
    "logmel_extractor.melW": (513, BANDS),
}
"""Shapes that distinguish the networks for this rate from those of the same name for 8 and 16 kHz."""


Conv = nn.Conv1d | nn.Conv2d


class CnnBlock(nn.Module):
    """Two convolutions, each with batch norm and ReLU."""

    def __init__(self, conv1: Conv, conv2: Conv, norm: Callable[[int], nn.Module]) -> None:
        """`norm`: makes the batch norm that fits the convolutions, which have no bias."""
        super().__init__()
        self.conv1, self.conv2 = conv1, conv2
        self.bn1: nn.Module = norm(conv1.out_channels)
        self.bn2: nn.Module = norm(conv2.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """float32[batch, channels, ...] to the channels of the second convolution, with the other axes unchanged."""
        x = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(x)))

    def fold(self) -> None:
        """Merge the norms into the convolutions, in place."""
        self.conv1, self.bn1 = fold_norm(self.conv1, self.bn1)
        self.conv2, self.bn2 = fold_norm(self.conv2, self.bn2)


def picture_block(channels: int, width: int) -> CnnBlock:
    """Make 3x3 convolutions over frames and bands: float32[batch, `channels`, frames, bands] to `width` channels."""
    conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
    conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
    return CnnBlock(conv1, conv2, nn.BatchNorm2d)


class Panns(nn.Module):
    """Log-mel, batch norm, the features of a subclass, mean and maximum over time, and two layers."""

    def __init__(self, channels: int, dims: int, classes: int) -> None:
        """`channels` of the features; `dims` of the embedding."""
        super().__init__()
        self.frontend = decibel_mel(RATE, HOP, BANDS)
        self.bn0: nn.Module = MelNorm(BANDS)
        self.fc1 = nn.Linear(channels, dims)
        self.fc_audioset = nn.Linear(dims, classes)

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """float32[batch, samples] to probabilities float32[batch, classes] and embeddings float32[batch, dims]."""
        return self.answer(self.extract(self.mel(waveform)))

    def mel(self, waveform: Tensor) -> Tensor:
        """float32[batch, samples] to normalised decibels float32[batch, 1, frames, bands]."""
        mel: Tensor = self.bn0(self.frontend(waveform))
        return mel[:, None]

    def extract(self, mel: Tensor) -> Tensor:
        """`mel` to features float32[batch, channels, frames // 32, bands // 32]."""
        raise NotImplementedError

    def answer(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features to probabilities and embeddings."""
        over_time = features.mean(3)
        embedding = torch.relu(self.fc1(over_time.amax(2) + over_time.mean(2)))
        return torch.sigmoid(self.fc_audioset(embedding)), embedding

    def fold(self) -> None:
        """Merge layers into their neighbours, in place."""
        self.bn0 = fold_mel_norm(self.frontend, self.bn0)
        for block in self.modules():
            if isinstance(block, CnnBlock):
                block.fold()


PannsT = TypeVar("PannsT", bound=Panns)


def load_panns(make: Callable[[int], PannsT], state: StateDict) -> PannsT:
    """Make the network of the published weights, in eval mode, with `make` from its number of classes.

    Raises `ModelError` if they are another network's.
    """
    for key, shape in FRONT_END_SHAPES.items():
        if key in state and state[key].shape != shape:
            raise ModelError(
                f"the checkpoint is not of this family: {key} is {list(state[key].shape)}, not {list(shape)}; "
                f"only the networks for {RATE} Hz can be imported"
            )
    network = make(outputs_of(state, "fc_audioset"))
    load_strict(network, state, FRONT_END)
    return network.eval()


def fold_panns(network: PannsT) -> PannsT:
    """Make an equivalent network with fewer layers."""
    folded = copy.deepcopy(network)
    folded.fold()
    return folded


def panns_family(
    name: str, make: Callable[[int], PannsT], accuracy: float, quantization: Quantization | None = None
) -> Family[PannsT]:
    """Make a family whose files take windows of any length; `accuracy`: its published mAP on AudioSet."""
    return Family(
        name=name,
        sample_rate=RATE,
        window=WINDOW,
        shortest=SHORTEST,
        variable=True,
        labels=audioset.labels,
        head="fc_audioset",
        build=lambda state, _window: load_panns(make, state),
        fold=fold_panns,
        quantization=quantization or Quantization(),
        licence=LICENCE,
        source=SOURCE,
        description=f"tags 527 classes of AudioSet in windows of 10 s (published mAP {accuracy})",
    )
