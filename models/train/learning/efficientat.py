"""EfficientAT mn04 in PyTorch: a second teacher, which hears best over two seconds or more.

The published checkpoint (Schmid et al., arXiv 2211.04772; `mn04_as_mAP_432.pt` of fschmid56/EfficientAT, MIT) is a
MobileNetV3 at a width of 0.4 with 527 AudioSet classes.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from monitor.zoo.layers.mel import kaldi_bank

Samples = NDArray[np.float32]

RATE = 32_000
"""Hertz"""
EMPHASIS = 0.97
SIZE, FRAME, HOP = 1024, 800, 320
"""Points of the transform, samples of the window in it and from one frame to the next."""
BANDS, HIGHEST = 128, 15_000.0
"""Mel bands from 0 Hz, and the upper edge of the last one in hertz."""
BLOCKS = (
    (3, 1, False, False),
    (3, 2, False, False),
    (3, 1, False, False),
    (5, 2, True, False),
    (5, 1, True, False),
    (5, 1, True, False),
    (3, 2, False, True),
    (3, 1, False, True),
    (3, 1, False, True),
    (3, 1, False, True),
    (3, 1, True, True),
    (3, 1, True, True),
    (5, 2, True, True),
    (5, 1, True, True),
    (5, 1, True, True),
)
"""Of each block: kernel, stride, whether it has squeeze-excitation, and whether hard-swish or ReLU."""
WIDTHS = (8, 8, 16, 16, 16, 16, 16, 32, 32, 32, 32, 48, 48, 64, 64, 64)
"""Channels before the first block and behind each."""
EXPANDED = (8, 24, 32, 32, 48, 48, 96, 80, 72, 72, 192, 272, 272, 384, 384)
LAST, HIDDEN, CLASSES = 384, 512, 527


class Squeeze(nn.Module):
    """A factor for each channel of a map [batch, channels, h, w], from the mean of all."""

    def __init__(self, width: int, narrow: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, narrow), nn.Linear(narrow, width)

    def forward(self, x: Tensor) -> Tensor:
        factor = torch.sigmoid(self.fc2(torch.relu(self.fc1(x.mean(dim=(2, 3))))))
        return x * factor[:, :, None, None]


class Squeezes(nn.Module):
    """The layer that the checkpoint keeps its squeeze in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conc_se_layers = nn.ModuleList([Squeeze(width, _of_eight(width / 4))])

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.conc_se_layers[0](x)
        return answer


class Block(nn.Module):
    """Expansion, depthwise convolution, squeeze, projection; beside a shortcut where the shape stays."""

    def __init__(
        self, inputs: int, width: int, outputs: int, kernel: int, stride: int, squeeze: bool, swish: bool
    ) -> None:
        super().__init__()
        active = nn.Hardswish if swish else nn.ReLU
        layers: list[nn.Module] = [] if width == inputs else [convolution(inputs, width, 1, 1, 1, active)]
        layers.append(convolution(width, width, kernel, stride, width, active))
        if squeeze:
            layers.append(Squeezes(width))
        layers.append(convolution(width, outputs, 1, 1, 1, None))
        self.block = nn.Sequential(*layers)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.block(x)
        return x + answer if self.shortcut else answer


class EfficientAt(nn.Module):
    """Waveform at 32 kHz [batch, samples] in [-1, 1] to logits [batch, 527] and embedding [batch, 384]."""

    def __init__(self) -> None:
        super().__init__()
        blocks = [
            Block(inputs, width, outputs, *shape)
            for (inputs, outputs), width, shape in zip(pairwise(WIDTHS), EXPANDED, BLOCKS, strict=True)
        ]
        first = convolution(1, WIDTHS[0], 3, 2, 1, nn.Hardswish)
        last = convolution(WIDTHS[-1], LAST, 1, 1, 1, nn.Hardswish)
        self.features = nn.Sequential(first, *blocks, last)
        self.classifier = nn.Sequential(  # numbered as in the checkpoint, where pooling comes first
            nn.Identity(), nn.Identity(), nn.Linear(LAST, HIDDEN), nn.Hardswish(), nn.Identity(),
            nn.Linear(HIDDEN, CLASSES),
        )  # fmt: skip
        self.window = nn.Buffer(torch.hann_window(FRAME, periodic=False), persistent=False)
        bank = torch.from_numpy(kaldi_bank(RATE, SIZE, BANDS, 0.0, HIGHEST).T.copy())
        self.bank = nn.Buffer(bank, persistent=False)

    def logmel(self, waveform: Tensor) -> Tensor:
        """Waveform [batch, samples] to normalised log-mel [batch, 1, 128, frames]."""
        emphasised = waveform[:, 1:] - EMPHASIS * waveform[:, :-1]
        spectrum = torch.stft(emphasised, SIZE, HOP, FRAME, self.window, return_complex=True)
        power = spectrum.real.square() + spectrum.imag.square()
        logmel = torch.log(self.bank @ power + 1e-5)
        return ((logmel + 4.5) / 5.0).unsqueeze(1)

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        embedding: Tensor = self.features(self.logmel(waveform)).mean(dim=(2, 3))
        return self.classifier(embedding), embedding


def convolution(
    inputs: int, outputs: int, kernel: int, stride: int, groups: int, active: Callable[[], nn.Module] | None
) -> nn.Sequential:
    """A convolution, its normalisation, and what follows."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=1e-3),
    ]
    return nn.Sequential(*layers, *([active()] if active else []))


def _of_eight(width: float) -> int:
    """The multiple of eight nearest to a width, at least eight, and no less than nine tenths of it."""
    near = max(8, int(width + 4) // 8 * 8)
    return near + 8 if near < 0.9 * width else near


class SecondTeacher:
    """Logits of AudioSet's classes in the order of YAMNet, and an embedding."""

    def __init__(self, folder: Path) -> None:
        """`folder`: holds efficientat_mn04_as.pt, audioset527.csv and yamnet_class_map.csv."""
        self._network = EfficientAt()
        self._network.load_state_dict(
            torch.load(folder / "efficientat_mn04_as.pt", map_location="cpu", weights_only=True)
        )
        self._network.eval()
        own, listed = (_machine_ids(folder / name) for name in ("audioset527.csv", "yamnet_class_map.csv"))
        self._columns = torch.tensor([own.index(each) for each in listed])

    def __call__(self, sounds: Samples) -> tuple[Samples, Samples]:
        """Logits [n, 521] and embeddings [n, 384] of sounds [n, samples] at 32 kHz."""
        with torch.inference_mode():
            logits, embedding = self._network(torch.from_numpy(sounds))
        return logits[:, self._columns].numpy(), embedding.numpy()


def _machine_ids(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8") as file:
        return [row["mid"] for row in csv.DictReader(file)]
