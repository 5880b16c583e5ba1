"""HTSAT, the hierarchical token-semantic audio transformer: a Swin transformer over a log-mel spectrogram.

Source: Chen et al., HTS-AT (2022), arXiv:2202.00874; Liu et al., Swin Transformer (2021), arXiv:2103.14030. The
spectrogram is cut in time into strips that are laid one above the other into a square image. Attention runs within
windows of 8 x 8 patches, which every other layer shifts by half a window.
"""

import torch
from torch import Tensor, nn

from monitor.zoo.layers.folding import MelNorm

WINDOW = 8
"""Patches along each side of a window of attention."""
AREA = WINDOW * WINDOW
IMAGE = 256
"""Pixels along each side of the image that the spectrogram becomes."""
PATCH = 4
"""Pixels along each side of a patch."""
BLOCKED = -100.0
"""Added to the score of two patches that share a shifted window but lie on opposite sides of the image."""

_AXIS = torch.arange(WINDOW)


class SwinAttention(nn.Module):
    """Multi-head self-attention within windows, with a learned bias for each offset between two patches."""

    offsets: Tensor
    blocked: Tensor

    def __init__(self, width: int, heads: int, blocked: Tensor | None) -> None:
        """`blocked`: float32[windows, AREA, AREA] to add to the scores in the windows of an image."""
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.table = nn.Parameter(torch.zeros((2 * WINDOW - 1) ** 2, heads))
        row, column = (axis.flatten() for axis in torch.meshgrid(_AXIS, _AXIS, indexing="ij"))
        down, right = (axis[:, None] - axis + WINDOW - 1 for axis in (row, column))
        self.register_buffer("offsets", (down * (2 * WINDOW - 1) + right).flatten(), persistent=False)
        self.register_buffer("blocked", blocked, persistent=False)

    def forward(self, windows: Tensor) -> Tensor:
        """float32[batch, windows, AREA, width] to the same."""
        _, count, _, width = windows.shape
        parts = self.qkv(windows).reshape(-1, count, AREA, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(3, 0, 1, 4, 2, 5).unbind()
        bias = self.table[self.offsets].T.reshape(self.heads, AREA, AREA)
        if self.blocked is not None:
            bias = bias + self.blocked[:, None]
        scores = query * (width // self.heads) ** -0.5 @ key.transpose(3, 4) + bias
        mixed = (scores.softmax(-1) @ value).transpose(2, 3).reshape(-1, count, AREA, width)
        answer: Tensor = self.proj(mixed)
        return answer


class SwinBlock(nn.Module):
    """Attention within windows, then an MLP: each after a LayerNorm and with a residual connection."""

    def __init__(self, width: int, heads: int, hidden: int, side: int, shift: int) -> None:
        """`side`: patches along each side of the image; `shift`: patches by which the windows are shifted."""
        super().__init__()
        self.side, self.shift = side, shift
        self.norm1 = nn.LayerNorm(width)
        self.attention = SwinAttention(width, heads, _blocked(side, shift) if shift else None)
        self.norm2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, image: Tensor) -> Tensor:
        """float32[batch, side, side, width] to the same."""
        normal = self.norm1(image)
        if self.shift:
            normal = normal.roll((-self.shift, -self.shift), (1, 2))
        mixed = _joined(self.attention(_split(normal)), self.side)
        if self.shift:
            mixed = mixed.roll((self.shift, self.shift), (1, 2))
        image = image + mixed
        answer: Tensor = image + self.fc2(nn.functional.gelu(self.fc1(self.norm2(image))))
        return answer


class Merging(nn.Module):
    """Four neighbouring patches to one of twice the width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * width)
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        """float32[batch, side, side, width] to float32[batch, side / 2, side / 2, 2 width]."""
        quarters = [image[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        merged: Tensor = self.reduction(self.norm(torch.cat(quarters, -1)))
        return merged


class SwinStage(nn.Module):
    """Blocks at one size of the image, and the layer that halves it for the next stage."""

    def __init__(self, width: int, heads: int, hidden: int, side: int, depth: int, last: bool) -> None:
        super().__init__()
        shift = WINDOW // 2 if side > WINDOW else 0
        self.blocks = nn.ModuleList(SwinBlock(width, heads, hidden, side, shift * (i % 2)) for i in range(depth))
        self.downsample = None if last else Merging(width)

    def forward(self, image: Tensor) -> Tensor:
        """float32[batch, side, side, width] to the next stage's image."""
        for block in self.blocks:
            image = block(image)
        return image if self.downsample is None else self.downsample(image)


class Htsat(nn.Module):
    """Log-mel spectrograms to one vector each: the mean over all patches of the last stage."""

    def __init__(self, width: int, hidden: int, depths: list[int], heads: list[int], frames: int, bands: int) -> None:
        """`width` and `hidden`: values of a patch and in an MLP of the first stage, which double with each stage."""
        super().__init__()
        self.strips = IMAGE // bands
        self.batch_norm: nn.Module = MelNorm(bands)
        self.resample = Bicubic(frames, IMAGE * self.strips)
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(1, width, PATCH, PATCH), "norm": nn.LayerNorm(width)})
        self.layers = nn.Sequential(
            *(
                SwinStage(width << i, heads[i], hidden << i, IMAGE // PATCH >> i, depth, i == len(depths) - 1)
                for i, depth in enumerate(depths)
            )
        )
        self.norm = nn.LayerNorm(width << (len(depths) - 1))

    def forward(self, logmel: Tensor) -> Tensor:
        """float32[batch, frames, bands] to float32[batch, width of the last stage]."""
        spectrogram = self.resample(self.batch_norm(logmel))
        strips = spectrogram.unflatten(1, (self.strips, IMAGE)).transpose(2, 3)  # [batch, strips, bands, IMAGE]
        patches = self.patch_embed["proj"](strips.reshape(-1, 1, IMAGE, IMAGE)).permute(0, 2, 3, 1)
        image: Tensor = self.norm(self.layers(self.patch_embed["norm"](patches)))
        return image.mean((1, 2))


class Bicubic(nn.Module):
    """Bicubic interpolation in time with the ends kept in place, as in PyTorch and OpenCV (Keys, a = -0.75)."""

    weights: Tensor
    places: Tensor

    def __init__(self, frames: int, wanted: int) -> None:
        super().__init__()
        position = torch.arange(wanted) * torch.tensor((frames - 1) / (wanted - 1))  # rounded to float32 as in PyTorch
        before = position.floor().clamp(max=frames - 2)
        near = position - before
        weights = torch.stack((_far(1 + near), _near(near), _near(1 - near), _far(2 - near)))
        places = before.long() + torch.arange(-1, 3)[:, None]
        self.register_buffer("weights", weights[..., None], persistent=False)
        self.register_buffer("places", places.clamp(0, frames - 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """float32[batch, frames, bands] to float32[batch, wanted, bands]."""
        parts = [x[:, place] * weight for place, weight in zip(self.places, self.weights, strict=True)]
        answer: Tensor = parts[0] + parts[1] + (parts[2] + parts[3])
        return answer


def _near(distance: Tensor) -> Tensor:
    """Keys' kernel up to a distance of 1."""
    return (1.25 * distance - 2.25) * distance**2 + 1


def _far(distance: Tensor) -> Tensor:
    """Keys' kernel at a distance of 1 to 2."""
    return -0.75 * (((distance - 5) * distance + 8) * distance - 4)


def _split(image: Tensor) -> Tensor:
    """float32[batch, side, side, width] to windows float32[batch, windows, AREA, width]."""
    _, side, _, width = image.shape
    count = side // WINDOW
    windows = image.reshape(-1, count, WINDOW, count, WINDOW, width).transpose(2, 3)
    return windows.reshape(-1, count * count, AREA, width)


def _joined(windows: Tensor, side: int) -> Tensor:
    """Windows back to an image."""
    width, count = windows.shape[-1], side // WINDOW
    image = windows.reshape(-1, count, count, WINDOW, WINDOW, width).transpose(2, 3)
    return image.reshape(-1, side, side, width)


def _blocked(side: int, shift: int) -> Tensor:
    """float32[windows, AREA, AREA]: BLOCKED where two patches meet only because the image was rolled."""
    axis = torch.arange(side)
    part = (axis >= side - WINDOW).long() + (axis >= side - shift).long()
    region = _split((3 * part[:, None] + part)[None, :, :, None])[0, :, :, 0]
    return BLOCKED * (region[:, :, None] != region[:, None, :]).float()
