"""Layers that are merged into a neighbour."""

import pytest
import torch
from torch import nn

from monitor.zoo.layers.folding import MelNorm, fold_mel_norm, fold_pool, fold_sequence
from monitor.zoo.layers.log_mel import decibel_mel


def shuffled(network: nn.Module) -> nn.Module:
    """`network` in eval mode with weights and statistics unlike any default."""
    torch.manual_seed(0)
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.is_floating_point():
                value.uniform_(0.5, 1.5)
    return network.eval()


@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 6), (2, 3), (33, 17)])
@pytest.mark.parametrize("groups", [1, 4])
def test_a_pool_becomes_a_stride(height: int, width: int, groups: int) -> None:
    """Merging is exact for even and odd sizes, edges included, and for a filter in each channel."""
    torch.manual_seed(0)
    conv, pool = nn.Conv2d(4, 8, 3, padding=1, groups=groups, bias=False), nn.AvgPool2d(2)
    x = torch.randn(2, 4, height, width)
    with torch.no_grad():
        torch.testing.assert_close(fold_pool(conv, pool)(x), pool(conv(x)), rtol=0, atol=1e-6)


def test_a_sequence_keeps_only_convolutions_and_activations() -> None:
    """Pools and norms after convolutions are gone, and the answer is the same."""
    layers = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False),
        nn.AvgPool2d(2),
        nn.BatchNorm2d(4),
        nn.ReLU6(),
        nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False),
        nn.AvgPool2d(1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 2, 1, bias=False),
        nn.BatchNorm2d(2),
    )
    shuffled(layers)
    x = torch.randn(2, 1, 11, 8)
    with torch.no_grad():
        folded = fold_sequence(layers)
        assert [type(layer).__name__ for layer in folded] == ["Conv2d", "ReLU6", "Conv2d", "ReLU", "Conv2d"]
        torch.testing.assert_close(folded(x), layers(x), rtol=1e-5, atol=1e-5)


def test_the_norm_of_the_mel_bands_moves_into_the_front_end() -> None:
    """Every band is normalised on its own."""
    frontend, norm = decibel_mel(32_000, 320, 64), MelNorm(64)
    shuffled(norm)
    waveform = 0.1 * torch.randn(2, 3200)
    with torch.no_grad():
        expected = norm(frontend(waveform))
        fold_mel_norm(frontend, norm)
        torch.testing.assert_close(frontend(waveform), expected, rtol=0, atol=1e-4)
    assert not torch.equal(expected[..., 0], expected[..., 1])
