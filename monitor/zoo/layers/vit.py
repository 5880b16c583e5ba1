"""The encoder of a vision transformer, which AST and CED share: attention over patches of a log-mel spectrogram.

Source: Dosovitskiy et al., An Image is Worth 16x16 Words (2021). Layers are named as in timm, except for the query,
key and value of a block, which are three layers here: the last block of AST needs the queries of only two tokens.
"""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn

from monitor.errors import ModelError

HEAD = 64
"""Values in a head of attention, in every published size of ViT, DeiT, AST and CED."""


class ViTAttention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.q = nn.Linear(width, width)
        self.k = nn.Linear(width, width)
        self.v = nn.Linear(width, width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, first: int | None = None) -> Tensor:
        """float32[batch, tokens, width] to the same, or to the `first` tokens of it."""
        query, key, value = _heads(self.q(x[:, :first])), _heads(self.k(x)), _heads(self.v(x))
        weights = (query * HEAD**-0.5 @ key.transpose(2, 3)).softmax(-1)  # cheaper than scaling the map
        mixed: Tensor = self.proj((weights @ value).transpose(1, 2).flatten(2))
        return mixed


class Mlp(nn.Module):
    """Two layers with a GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """float32[batch, tokens, width] to the same."""
        y: Tensor = self.fc2(nn.functional.gelu(self.fc1(x)))
        return y


class ViTBlock(nn.Module):
    """Attention, then an MLP: each after a LayerNorm and with a residual connection."""

    def __init__(self, width: int, hidden: int, eps: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps)
        self.attn = ViTAttention(width)
        self.norm2 = nn.LayerNorm(width, eps)
        self.mlp = Mlp(width, hidden)

    def forward(self, x: Tensor, first: int | None = None) -> Tensor:
        """float32[batch, tokens, width] to the same, or to its `first` tokens, which cost less than all."""
        x = x[:, :first] + self.attn(self.norm1(x), first)
        y: Tensor = x + self.mlp(self.norm2(x))
        return y


def _heads(x: Tensor) -> Tensor:
    """float32[batch, tokens, width] to float32[batch, heads, tokens, HEAD]."""
    return x.reshape(x.shape[0], x.shape[1], -1, HEAD).transpose(1, 2)


def split_qkv(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Split each block's joint `attn.qkv` into the three layers of `ViTAttention`."""
    split: dict[str, Tensor] = {}
    for name, value in state.items():
        if ".attn.qkv." in name:
            for part, rows in zip("qkv", value.chunk(3), strict=True):
                split[name.replace(".qkv.", f".{part}.")] = rows
        else:
            split[name] = value
    return split


class Size(NamedTuple):
    """Size of an encoder."""

    width: int
    """Values in a token."""

    hidden: int
    """Values between the two layers of an MLP."""

    depth: int
    """Blocks."""


def size_of(state: Mapping[str, Tensor]) -> Size:
    """Return the size of the encoder in a checkpoint. Raises `ModelError` if it contains no block of a known kind."""
    layer = state.get("blocks.0.mlp.fc1.weight")
    if layer is None or layer.ndim != 2 or layer.shape[1] % HEAD:
        raise ModelError(
            "the checkpoint contains no known transformer: "
            f"its first block has no layer 'mlp.fc1' with a width that is a multiple of {HEAD}"
        )
    hidden, width = layer.shape
    return Size(width, hidden, len({key.split(".")[1] for key in state if key.startswith("blocks.")}))
