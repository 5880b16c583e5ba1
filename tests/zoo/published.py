"""The PANNs written again from their description, as plain functions over a state dict in double precision.

Nothing is folded, and nothing is shared with the package except the mel bank, which has tests of its own.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from monitor.zoo.layers.mel import slaney_bank

State = dict[str, Tensor]
Answer = tuple[Tensor, Tensor]


def cnn14(state: State, waveform: Tensor) -> Answer:
    """Probabilities and embedding of CNN14."""
    state = _double(state)
    x = _halved(_block(state, "conv_block1", _mel(state, waveform)))
    return _head(state, _upper_blocks(state, x))


def wavegram_logmel_cnn14(state: State, waveform: Tensor) -> Answer:
    """Probabilities and embedding of Wavegram-Logmel-CNN14."""
    state = _double(state)
    wave = F.conv1d(waveform.double()[:, None], state["pre_conv0.weight"], stride=5, padding=5)
    wave = F.relu(_norm(state, "pre_bn0", wave))
    for block in ("pre_block1", "pre_block2", "pre_block3"):
        wave = F.conv1d(wave, state[f"{block}.conv1.weight"], padding=1)
        wave = F.conv1d(
            F.relu(_norm(state, f"{block}.bn1", wave)), state[f"{block}.conv2.weight"], padding=2, dilation=2
        )
        wave = F.max_pool1d(F.relu(_norm(state, f"{block}.bn2", wave)), 4)
    batch, channels, steps = wave.shape
    picture = wave.view(batch, channels // 32, 32, steps).permute(0, 1, 3, 2)
    drawn = F.avg_pool2d(_block(state, "pre_block4", picture), (2, 1))
    heard = _halved(_block(state, "conv_block1", _mel(state, waveform)))
    return _head(state, _upper_blocks(state, torch.cat([heard, drawn], 1)))


def mobilenetv1(state: State, waveform: Tensor, shrinks: tuple[int, ...]) -> Answer:
    """Probabilities and embedding of MobileNetV1; `shrinks`: each layer's pool."""
    state = _double(state)
    x = _filter(state, "features.0", 0, _mel(state, waveform), shrinks[0]).relu()
    for number, shrink in enumerate(shrinks[1:], start=1):
        x = _filter(state, f"features.{number}", 0, x, shrink).relu()
        x = _point(state, f"features.{number}", 4, x).relu()
    return _head(state, x)


def mobilenetv2(state: State, waveform: Tensor, shrinks: tuple[int, ...]) -> Answer:
    """Probabilities and embedding of MobileNetV2; `shrinks`: each bottleneck's pool."""
    state = _double(state)
    x = F.relu6(_filter(state, "features.0", 0, _mel(state, waveform), 2))
    for number, shrink in enumerate(shrinks, start=1):
        layer, entered = f"features.{number}.conv", x
        widens = f"{layer}.7.weight" in state
        if widens:
            x = F.relu6(_point(state, layer, 0, x))
        x = F.relu6(_filter(state, layer, 3 * widens, x, shrink))
        x = _point(state, layer, 7 if widens else 4, x)
        if shrink == 1 and x.shape == entered.shape:
            x = x + entered
    return _head(state, F.relu6(_point(state, f"features.{len(shrinks) + 1}", 0, x)))


def _double(state: State) -> State:
    return {key: value.double() for key, value in state.items()}


def _mel(state: State, waveform: Tensor) -> Tensor:
    """Normalised decibels, [batch, 1, frames, bands]."""
    window = torch.hann_window(1024, dtype=torch.float64)
    transform = torch.stft(waveform.double(), 1024, 320, window=window, pad_mode="reflect", return_complex=True)
    power = (
        transform.abs().square().transpose(1, 2) @ torch.from_numpy(slaney_bank(32_000, 1024, 64, 50, 14_000)).double()
    )
    decibels = 10 * power.clamp(min=1e-10).log10()
    return _norm(state, "bn0", decibels.transpose(1, 2)).transpose(1, 2)[:, None]


def _norm(state: State, name: str, x: Tensor) -> Tensor:
    mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    return F.batch_norm(x, mean, variance, state[f"{name}.weight"], state[f"{name}.bias"])


def _block(state: State, name: str, x: Tensor) -> Tensor:
    x = F.relu(_norm(state, f"{name}.bn1", F.conv2d(x, state[f"{name}.conv1.weight"], padding=1)))
    return F.relu(_norm(state, f"{name}.bn2", F.conv2d(x, state[f"{name}.conv2.weight"], padding=1)))


def _halved(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 2)


def _upper_blocks(state: State, x: Tensor) -> Tensor:
    for block in ("conv_block2", "conv_block3", "conv_block4", "conv_block5"):
        x = _halved(_block(state, block, x))
    return _block(state, "conv_block6", x)


def _filter(state: State, layer: str, index: int, x: Tensor, shrink: int) -> Tensor:
    """A 3x3 filter for each channel, a pool, and the norm, which is two places after the filter."""
    x = F.conv2d(x, state[f"{layer}.{index}.weight"], padding=1, groups=x.shape[1])
    return _norm(state, f"{layer}.{index + 2}", F.avg_pool2d(x, shrink))


def _point(state: State, layer: str, index: int, x: Tensor) -> Tensor:
    """A mixture of the channels, and the norm after it."""
    return _norm(state, f"{layer}.{index + 1}", F.conv2d(x, state[f"{layer}.{index}.weight"]))


def _head(state: State, x: Tensor) -> Answer:
    x = x.mean(3)
    embedding = F.relu(F.linear(x.amax(2) + x.mean(2), state["fc1.weight"], state["fc1.bias"]))
    return torch.sigmoid(F.linear(embedding, state["fc_audioset.weight"], state["fc_audioset.bias"])), embedding
