"""The text tower of CLAP, which maps a sentence to a unit vector."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from monitor.errors import ModelError
from monitor.onnx import open_session
from monitor.zoo.build.checkpoint import load_strict
from monitor.zoo.build.export import save_proven
from monitor.zoo.build.torch_graph import graph_of
from monitor.zoo.families.clap_state import text_state
from monitor.zoo.family import StateDict
from monitor.zoo.layers.roberta import PADDING, Roberta

HEAD = 64
"""Values in a head of attention, in every published size of RoBERTa."""
LENGTHS = (2, 3, 8, 20)
"""Tokens in the sentences to compare on."""


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
