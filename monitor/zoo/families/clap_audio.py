"""The audio tower of CLAP, which maps sounds to unit vectors."""

import copy
import re

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from monitor.errors import ModelError
from monitor.zoo.build.checkpoint import load_strict
from monitor.zoo.families.clap_state import audio_state
from monitor.zoo.family import StateDict
from monitor.zoo.layers.folding import fold_mel_norm
from monitor.zoo.layers.htsat import Htsat
from monitor.zoo.layers.log_mel import decibel_mel

RATE = 48_000
"""Hertz"""
HOP = 480
BANDS = 64
WINDOW = 10 * RATE
"""Samples that the network takes."""
SHORTEST = RATE
"""Samples: a network trained on ten seconds recognises little in less than one."""


BLOCK = re.compile(r"tower\.layers\.(\d+)\.blocks\.(\d+)\.")
"""Prefix of the keys of a block."""


class ClapAudioTower(nn.Module):
    """Front end, HTSAT, and the projection into the space that sound and text share."""

    def __init__(self, tower: Htsat, width: int, dims: int, window: int) -> None:
        """`width`: values that `tower` returns; `window`: samples of the input."""
        super().__init__()
        self.frontend = ClapFrontEnd(window)
        self.tower = tower
        self.projection = nn.Sequential(nn.Linear(width, dims), nn.ReLU(), nn.Linear(dims, dims))

    def forward(self, waveform: Tensor) -> tuple[Tensor]:
        """float32[batch, window] in [-1, 1] at 48 kHz to float32[batch, dims] of unit length."""
        projected = self.projection(self.tower(self.frontend(waveform)))
        return (F.normalize(projected.float(), dim=-1),)  # the squares may exceed the range of float16


class ClapFrontEnd(nn.Module):
    """Log-mel in decibels of a sound that is repeated to the length of the network's window."""

    def __init__(self, window: int) -> None:
        super().__init__()
        self.repeat = Repeat(window)
        self.mel = decibel_mel(RATE, HOP, BANDS)

    def forward(self, waveform: Tensor) -> Tensor:
        """float32[batch, window] to float32[batch, frames, bands]."""
        mel: Tensor = self.mel(self.repeat(waveform))
        return mel


class Repeat(nn.Module):
    """Repeats a short sound as often as it fits, and pads with silence: "repeatpad", as in training."""

    def __init__(self, window: int) -> None:
        super().__init__()
        self.times, self.rest = divmod(WINDOW, window)

    def forward(self, waveform: Tensor) -> Tensor:
        """float32[batch, window] to float32[batch, WINDOW]."""
        if self.times > 1:
            waveform = torch.cat([waveform] * self.times, 1)
        return F.pad(waveform, (0, self.rest)) if self.rest else waveform


def build_audio(state: StateDict, window: int) -> ClapAudioTower:
    """Make the tower of the published weights, in eval mode, for windows of `window` samples, at most ten seconds.

    Raises `ModelError` for a checkpoint of another kind, and for keys that are missing, unexpected or of another shape.
    """
    if not SHORTEST <= window <= WINDOW:
        raise ModelError(f"a window of {window / RATE:g} s: CLAP takes {SHORTEST / RATE:g} to {WINDOW / RATE:g} s")
    part = audio_state(state)
    depths, heads = _stages(part)
    try:
        width, hidden = (part[f"tower.{key}.weight"].shape[0] for key in ("patch_embed.proj", "layers.0.blocks.0.fc1"))
        dims = part["projection.0.weight"].shape[0]
    except KeyError as error:
        raise ModelError(f"the checkpoint is not of this family: it lacks {error.args[0]}") from error
    tower = Htsat(width, hidden, depths, heads, WINDOW // HOP + 1, BANDS)
    network = ClapAudioTower(tower, width << (len(depths) - 1), dims, window)
    load_strict(network, part)
    return network.eval()


@torch.no_grad()
def fold_audio(network: ClapAudioTower) -> ClapAudioTower:
    """Make the same network with the batch norm of the bands merged into the front end."""
    folded = copy.deepcopy(network)
    folded.tower.batch_norm = fold_mel_norm(folded.frontend.mel, folded.tower.batch_norm)
    return folded


def _stages(part: StateDict) -> tuple[list[int], list[int]]:
    """Blocks and heads of each stage. Raises `ModelError` if there is none."""
    blocks = {(int(found[1]), int(found[2])) for key in part if (found := BLOCK.match(key))}
    depths = [sum(stage == number for stage, _ in blocks) for number in range(len({stage for stage, _ in blocks}))]
    tables = [part.get(f"tower.layers.{stage}.blocks.0.attention.table") for stage in range(len(depths))]
    if not depths:
        raise ModelError("the checkpoint is not of this family: it lacks the blocks of the audio tower")
    return depths, [1 if table is None else table.shape[-1] for table in tables]  # loading reports what is missing
