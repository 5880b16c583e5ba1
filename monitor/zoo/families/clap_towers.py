"""The two towers of CLAP: one maps sounds, the other sentences, to unit vectors of one space."""

import copy
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from monitor.errors import ModelError
from monitor.onnx import open_session
from monitor.zoo.build.checkpoint import load_strict
from monitor.zoo.build.export import save_proven
from monitor.zoo.build.torch_graph import graph_of
from monitor.zoo.families.clap_state import audio_state, text_state
from monitor.zoo.family import StateDict
from monitor.zoo.layers.folding import fold_mel_norm
from monitor.zoo.layers.htsat import Htsat
from monitor.zoo.layers.log_mel import decibel_mel
from monitor.zoo.layers.roberta import PADDING, Roberta

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
HEAD = 64
"""Values in a head of attention, in every published size of RoBERTa."""
LENGTHS = (2, 3, 8, 20)
"""Tokens in the sentences to compare on."""


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


class ClapTextTower(nn.Module):
    """RoBERTa, and the projection into the space that sound and text share."""

    def __init__(self, tower: Roberta, width: int, dims: int) -> None:
        """`width`: values that `tower` returns."""
        super().__init__()
        self.tower = tower
        self.projection = nn.Sequential(nn.Linear(width, dims), nn.ReLU(), nn.Linear(dims, dims))

    def forward(self, tokens: Tensor) -> Tensor:
        """int64[1, tokens] to float32[1, dims] of unit length."""
        return F.normalize(self.projection(self.tower(tokens)), dim=-1)


def build_text(state: StateDict, heads: int | None = None) -> ClapTextTower:
    """Make the tower of the published weights, in eval mode.

    `heads`: of each layer's attention, which the weights do not show; by default as in RoBERTa. Raises `ModelError` for
    a checkpoint of another kind, and for keys that are missing, unexpected or of another shape.
    """
    part = text_state(state)
    try:
        vocabulary, width = part["tower.word_embeddings.weight"].shape
        positions = part["tower.position_embeddings.weight"].shape[0]
        hidden = part["tower.layers.0.fc1.weight"].shape[0]
        dims = part["projection.0.weight"].shape[0]
    except KeyError as error:
        raise ModelError(f"the checkpoint is not of this family: it lacks {error.args[0]}") from error
    depth = len({key.split(".")[2] for key in part if key.startswith("tower.layers.")})
    tower = Roberta(vocabulary, positions, width, hidden, heads or max(1, width // HEAD), depth)
    network = ClapTextTower(tower, width, dims)
    load_strict(network, part)
    return network.eval()


def longest(network: ClapTextTower) -> int:
    """Return the largest number of tokens in a sentence."""
    return network.tower.position_embeddings.num_embeddings - PADDING - 1


def export_text(network: ClapTextTower, path: Path, metadata: Mapping[str, str]) -> float:
    """Write the tower to `path`: tokens int64[1, length] to vector float32[1, dims], for any length that it takes.

    Returns the largest difference of the file's answers from the network's. Raises `ModelError` if that is too large.
    """
    free = {1: torch.export.Dim("length", min=2, max=longest(network))}
    model = graph_of(network, _sentence(network, 8), "tokens", free, ("vector",))
    return save_proven(model, path, metadata, lambda part: _largest_difference(network, part))


def _largest_difference(network: ClapTextTower, path: Path) -> float:
    """Compare the file's answers with the network's on sentences of several lengths."""
    session = open_session(path, threads=0)
    differences = []
    for length in (*LENGTHS, longest(network)):
        tokens = _sentence(network, length)
        with torch.no_grad():
            wanted = network(tokens).numpy()
        (answer,) = session.run(["vector"], {"tokens": tokens.numpy()})
        differences.append(float(np.abs(answer - wanted).max()))
    return max(differences)


def _sentence(network: ClapTextTower, length: int) -> Tensor:
    """Tokens drawn from the whole vocabulary except padding: int64[1, length]."""
    vocabulary = network.tower.word_embeddings.num_embeddings
    drawn = np.random.default_rng(length).integers(PADDING + 1, vocabulary, (1, length))
    return torch.from_numpy(drawn)
