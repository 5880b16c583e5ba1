"""RoBERTa, the text tower of CLAP: one sentence to one vector.

Source: Liu et al., RoBERTa (2019), arXiv:1907.11692. Attention covers all tokens, and a LayerNorm follows each part, as
in BERT. Sentences run one by one at their own length, so nothing is padded or masked.
"""

import torch
from torch import Tensor, nn

PADDING = 1
"""The padding token; the first token of a sentence has the position after it."""
EPSILON = 1e-12
"""Epsilon of each LayerNorm."""


class RobertaAttention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """float32[1, tokens, width] to the same."""
        query, key, value = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind()
        weights = (query * query.shape[-1] ** -0.5 @ key.transpose(2, 3)).softmax(-1)
        mixed: Tensor = self.proj((weights @ value).transpose(1, 2).flatten(2))
        return mixed


class RobertaLayer(nn.Module):
    """Attention, then an MLP: each with a residual connection and a LayerNorm after it."""

    def __init__(self, width: int, hidden: int, heads: int) -> None:
        super().__init__()
        self.attention = RobertaAttention(width, heads)
        self.norm1 = nn.LayerNorm(width, EPSILON)
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.norm2 = nn.LayerNorm(width, EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """float32[1, tokens, width] to the same."""
        x = self.norm1(x + self.attention(x))
        answer: Tensor = self.norm2(x + self.fc2(nn.functional.gelu(self.fc1(x))))
        return answer


class Roberta(nn.Module):
    """A sentence's tokens to a vector made from the first of them."""

    def __init__(self, vocabulary: int, positions: int, width: int, hidden: int, heads: int, depth: int) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(vocabulary, width)
        self.position_embeddings = nn.Embedding(positions, width)
        self.token_type_embeddings = nn.Embedding(1, width)
        self.norm = nn.LayerNorm(width, EPSILON)
        self.layers = nn.Sequential(*(RobertaLayer(width, hidden, heads) for _ in range(depth)))
        self.pooler = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """int64[1, tokens], none of them padding, to float32[1, width]."""
        positions = torch.arange(tokens.shape[1]) + PADDING + 1
        x = self.word_embeddings(tokens) + self.position_embeddings(positions) + self.token_type_embeddings.weight
        answer: Tensor = self.pooler(self.layers(self.norm(x))[:, 0]).tanh()
        return answer
