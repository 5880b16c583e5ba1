"""The student network: a small residual net over log-mel, and the model that listens to a waveform."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .frontend import LogMel

CLASSES = 521
TEACHER_DIMS = 1024
"""Values in the teacher's embedding."""
LOGMEL_MEAN, LOGMEL_SCALE = -4.0, 2.5
"""Rough centre and spread of the log-mel over real recordings: brings the input near zero mean, unit variance."""


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut; [batch, inputs, h, w] to [batch, outputs, h / stride, w / stride].

    Dense rather than depthwise convolutions: with little data they learn several times faster.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        shortcut: list[nn.Module] = []
        if stride > 1:
            shortcut.append(nn.AvgPool2d(stride))
        if inputs != outputs:
            shortcut += [nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


class Student(nn.Module):
    """float32 log-mel [batch, 96, 64] to logits [batch, 521] and an embedding [batch, dims].

    `project` maps the embedding to the teacher's; it serves the training alone and is left out of the export.
    """

    def __init__(self, widths: tuple[int, ...] = (24, 40, 80, 80, 176), dims: int = 384) -> None:
        super().__init__()
        stem, *stages = widths
        self.stem = nn.Sequential(nn.Conv2d(1, stem, 5, 2, 2, bias=False), nn.BatchNorm2d(stem), nn.Hardtanh(0.0, 6.0))
        strides = (2, 2, 1, 2)
        inputs = [stem, *stages[:-1]]
        self.stages = nn.Sequential(*(Residual(i, o, s) for i, o, s in zip(inputs, stages, strides, strict=True)))
        self.embed = nn.Linear(2 * stages[-1], dims)
        self.head = nn.Linear(dims, CLASSES)
        self.project = nn.Linear(dims, TEACHER_DIMS)
        nn.init.constant_(self.head.bias, -5.0)  # most classes are silent in most windows

    def embedding(self, logmel: Tensor) -> Tensor:
        """Non-negative embedding [batch, dims]: mean and maximum over time and frequency, then one layer."""
        x = ((logmel - LOGMEL_MEAN) / LOGMEL_SCALE).unsqueeze(1)
        x = self.stages(self.stem(x))
        return torch.relu(self.embed(torch.cat((x.mean(dim=(2, 3)), x.amax(dim=(2, 3))), dim=1)))

    def forward(self, logmel: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self.embedding(logmel)
        return self.head(embedding), embedding


class Listener(nn.Module):
    """The model as delivered: the front end, the student and a sigmoid.

    float32 waveform [batch, 15600] in [-1, 1] to probabilities [batch, 521] and embedding [batch, dims].
    """

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.frontend = LogMel()
        self.student = student

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        logits, embedding = self.student(self.frontend(waveform))
        return torch.sigmoid(logits), embedding
