"""Merge layers into their neighbours without changing the function, for fewer passes over the same numbers."""

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from monitor.zoo.layers.log_mel import LogMel


class MelNorm(nn.BatchNorm2d):
    """Batch norm of each mel band, over float32[batch, frames, bands]."""

    running_mean: Tensor
    running_var: Tensor

    def forward(self, mel: Tensor) -> Tensor:
        """The same shape."""
        return super().forward(mel.transpose(1, 2)[..., None])[..., 0].transpose(1, 2)


ConvT = TypeVar("ConvT", bound=nn.Conv1d | nn.Conv2d)


def fold_norm(conv: ConvT, norm: nn.Module) -> tuple[ConvT, nn.Module]:
    """Return the convolution that also does what the batch norm `norm` does after it, and what is left of `norm`."""
    if not isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
        return conv, norm
    return fuse_conv_bn_eval(conv, norm), nn.Identity()


def fold_mel_norm(frontend: LogMel, norm: nn.Module) -> nn.Module:
    """Let the front end's scale and shift do what the `MelNorm` does after it; return what is left of `norm`."""
    if not isinstance(norm, MelNorm):
        return norm
    factor = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    frontend.scale *= factor
    frontend.shift.copy_((frontend.shift - norm.running_mean) * factor + norm.bias)
    return nn.Identity()


def fold_sequence(layers: nn.Module) -> nn.Sequential:
    """Merge average pools and batch norms into the convolution before them, as in Conv, AvgPool, BatchNorm, ReLU."""
    folded: list[nn.Module] = []
    for layer in layers.children():
        before = folded[-1] if folded else None
        if isinstance(layer, nn.AvgPool2d) and isinstance(before, nn.Conv2d):
            folded[-1] = fold_pool(before, layer)
        elif isinstance(layer, nn.BatchNorm2d) and isinstance(before, nn.Conv2d):
            folded[-1] = fuse_conv_bn_eval(before, layer)
        else:
            folded.append(layer)
    return nn.Sequential(*folded)


def fold_pool(conv: nn.Conv2d, pool: nn.AvgPool2d) -> nn.Conv2d:
    """Merge a padded convolution of stride 1, without bias, and the average pool after it into one convolution.

    The mean of shifted filters is one larger filter: 3x3 and a pool of 2 make 4x4 with stride 2. This is exact, also at
    the edges, where both see the same zeros and leave out the same remainder.
    """
    high, wide = pool.kernel_size if isinstance(pool.kernel_size, tuple) else (pool.kernel_size, pool.kernel_size)
    rows, columns = conv.kernel_size
    size = (rows + high - 1, columns + wide - 1)
    weight = conv.weight.new_zeros(*conv.weight.shape[:2], *size)
    for down in range(high):
        for right in range(wide):
            weight[:, :, down : down + rows, right : right + columns] += conv.weight / (high * wide)
    merged = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        size,
        stride=(high, wide),
        padding=(rows // 2, columns // 2),
        groups=conv.groups,
        bias=False,
    )
    merged.weight = nn.Parameter(weight)
    return merged.eval()
