"""What the networks share: the log-mel branch of dense residual blocks, and the heads."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from ..data.events import EVENTS
from .frontend import LogMel

CLASSES = 521
TEACHER_DIMS = 1024
"""Values in the teacher's embedding."""
DIMS = 512
"""Values in our embedding."""
HIDDEN = 256
"""Values in the layer between the embedding and the answers."""
LOGMEL_MEAN, LOGMEL_SCALE = -7.0, 4.5
"""Rough centre and spread of the log-mel over real recordings: brings the input near zero mean, unit variance."""

Answer = tuple[Tensor, Tensor, Tensor]
"""Logits [batch, 521], logits of the events [batch, events], embedding [batch, 512]."""


def normalised(logmel: Tensor) -> Tensor:
    """Log-mel [batch, frames, mels] as an image [batch, 1, frames, mels]."""
    return ((logmel - LOGMEL_MEAN) / LOGMEL_SCALE).unsqueeze(1)


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut; [batch, inputs, h, w] to [batch, outputs, h / 2, w / 2].

    Dense rather than depthwise convolutions: with little data they learn several times faster. The shortcut is one
    2x2 convolution, which costs less than pooling and a 1x1 one.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 2, 2, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


class Branch(nn.Module):
    """Log-mel [batch, 64, 64] to a map [batch, width, 4, 4]."""

    def __init__(self, widths: tuple[int, ...] = (24, 40, 80, 160)) -> None:
        super().__init__()
        stem = widths[0]
        self.width = widths[-1]
        self.stem = nn.Sequential(nn.Conv2d(1, stem, 5, 2, 2, bias=False), nn.BatchNorm2d(stem), nn.ReLU())
        self.stages = nn.Sequential(*(Residual(i, o) for i, o in pairwise(widths)))

    def forward(self, logmel: Tensor) -> Tensor:
        answer: Tensor = self.stages(self.stem(normalised(logmel)))
        return answer


class Heads(nn.Module):
    """Features [batch, inputs] to logits of the AudioSet classes, logits of the events, and a non-negative embedding.

    One hidden layer lies between the embedding and the answers: without it every class is a plane through the
    embedding, and speech and music lie on both sides of too many of them. `project` maps the embedding to the
    teacher's; it serves the training alone and is left out of the export.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.2)
        self.embed = nn.Linear(inputs, DIMS)
        self.hidden = nn.Linear(DIMS, HIDDEN)
        self.classes = nn.Linear(HIDDEN, CLASSES)
        self.events = nn.Linear(HIDDEN, len(EVENTS))
        self.project = nn.Linear(DIMS, TEACHER_DIMS)
        for head in (self.classes, self.events):
            nn.init.constant_(head.bias, -5.0)  # most classes are silent in most windows

    def answer(self, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the classes [batch, 521] and of the events [batch, events] to an embedding [batch, 512]."""
        hidden = self.dropout(torch.relu(self.hidden(embedding)))
        return self.classes(hidden), self.events(hidden)

    def forward(self, features: Tensor) -> Answer:
        embedding = torch.relu(self.embed(self.dropout(features)))
        return *self.answer(embedding), embedding


def pooled(x: Tensor) -> Tensor:
    """Mean and maximum [batch, 2 x width] over a map [batch, width, h, w]."""
    return torch.cat((x.mean(dim=(2, 3)), x.amax(dim=(2, 3))), dim=1)


class Network(nn.Module):
    """What every network of the recipe is: the front end, something that makes features, the heads.

    Waveform [batch, 15600] in [-1, 1] to `Answer`.
    """

    def __init__(self, inputs: int) -> None:
        """`inputs`: how many values `features` gives."""
        super().__init__()
        self.frontend = LogMel()
        self.heads = Heads(inputs)

    def features(self, logmel: Tensor, waveform: Tensor) -> Tensor:
        """Features [batch, inputs] of a waveform and its log-mel."""
        raise NotImplementedError

    def listen(self, logmel: Tensor, waveform: Tensor) -> Answer:
        """Answer to a waveform whose log-mel is at hand."""
        answer: Answer = self.heads(self.features(logmel, waveform))
        return answer

    def forward(self, waveform: Tensor) -> Answer:
        return self.listen(self.frontend(waveform), waveform)


class BranchAlone(Network):
    """The log-mel branch with heads of its own: what is distilled first."""

    def __init__(self) -> None:
        branch = Branch()
        super().__init__(2 * branch.width)
        self.branch = branch

    def features(self, logmel: Tensor, _waveform: Tensor) -> Tensor:
        return pooled(self.branch(logmel))
