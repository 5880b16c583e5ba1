"""LEAN: a log-mel branch beside a light encoder of the raw waveform, aligned by attention (arXiv 2305.12712).

Ours departs from the paper where a home's small box asks for it: the log-mel branch is our own distilled one instead of
YAMNet; the wave encoder hears frames of 49 ms instead of 25 through learned pairs of filters, whose energy does not
depend on the phase, and has one bidirectional LSTM layer of 16 instead of two of 128.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .frontend import WINDOW
from .network import Branch, BranchAlone, Network, pooled

WAVE_FRAME = 780
"""Samples a frame of the wave encoder: 49 ms, 20 of them a window."""
FILTERS = 24
"""Pairs of learned filters."""
HIDDEN = 16
"""LSTM units a direction."""


class WaveEncoder(nn.Module):
    """Waveform [batch, 15600] to temporal features [batch, 20, 32]."""

    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.Linear(WAVE_FRAME, 2 * FILTERS, bias=False)
        self.pairs = nn.Buffer(torch.eye(FILTERS).repeat(2, 1), persistent=False)
        self.floor = nn.Buffer(torch.full((FILTERS,), 1e-6), persistent=False)
        self.lstm = nn.LSTM(FILTERS, HIDDEN, batch_first=True, bidirectional=True)

    def forward(self, waveform: Tensor) -> Tensor:
        # A product with `pairs` adds each pair's powers, and the floor, in one step.
        power = self.filters(waveform.reshape(-1, WAVE_FRAME)).square()
        energy = torch.addmm(self.floor, power, self.pairs).reshape(-1, WINDOW // WAVE_FRAME, FILTERS)
        answer: Tensor = self.lstm(0.25 * torch.log(energy))[0]
        return answer


class Realignment(nn.Module):
    """Cross-attention: what the wave encoder says, read at the time steps of the log-mel map.

    Map [batch, width, time, frequency] and temporal features [batch, 20, 32] to [batch, time, 32].
    """

    def __init__(self, width: int, dims: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, dims)
        self.key = nn.Linear(dims, dims)
        self.value = nn.Linear(dims, dims)
        self.scale = dims**-0.5

    def forward(self, feature_map: Tensor, temporal: Tensor) -> Tensor:
        # Fewer products in this order. The keys' bias adds the same to every weight's exponent, which softmax cancels.
        query = self.query(feature_map.mean(dim=3).transpose(1, 2))
        weight = torch.softmax(query @ self.key.weight @ temporal.transpose(1, 2) * self.scale, dim=2)
        answer: Tensor = self.value(weight @ temporal)
        return answer


class Lean(Network):
    """Both encoders. Without `attention` the temporal features are pooled as they are."""

    def __init__(self, attention: bool = True) -> None:
        branch = Branch()
        super().__init__(2 * branch.width + 4 * HIDDEN)
        self.branch = branch
        self.wave = WaveEncoder()
        self.realign = Realignment(self.branch.width, 2 * HIDDEN) if attention else None

    def adopt(self, alone: BranchAlone) -> None:
        """Start from a distilled branch: answers as it does until the wave encoder has something to say."""
        self.branch.load_state_dict(alone.branch.state_dict())
        old, new = alone.heads.state_dict(), self.heads.state_dict()
        known = old["embed.weight"].shape[1]
        new["embed.weight"][:, :known] = old["embed.weight"]
        new["embed.weight"][:, known:] = 0.0
        self.heads.load_state_dict({**old, "embed.weight": new["embed.weight"]})

    def features(self, logmel: Tensor, waveform: Tensor) -> Tensor:
        feature_map, temporal = self.branch(logmel), self.wave(waveform)
        if self.realign is not None:
            temporal = self.realign(feature_map, temporal)
        return torch.cat((pooled(feature_map), temporal.mean(dim=1), temporal.amax(dim=1)), dim=1)
