"""YAMNet: MobileNet v1 over 0.975 s of sound, as Google publishes it in TensorFlow Lite.

Source: Plakal and Ellis, YAMNet (github.com/tensorflow/models, research/audioset/yamnet), Apache-2.0. The published
file contains 8-bit weights, which are converted to the float numbers that they stand for. Its front end approximates
the documented one with a Fourier basis and a mel bank of 255 levels; here it is exact.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from monitor.errors import ModelError
from monitor.zoo.build.checkpoint import load_strict, outputs_of
from monitor.zoo.build.tflite import TfliteLayer, read_layers
from monitor.zoo.families import audioset
from monitor.zoo.family import Family, StateDict
from monitor.zoo.layers.log_mel import Spectrum
from monitor.zoo.layers.mel import kaldi_bank, used_bins
from monitor.zoo.metadata import Quantization

SAMPLE_RATE = 16_000
"""Hertz"""
WINDOW = 15_600
"""Samples: 96 frames of 25 ms, 10 ms apart."""
FRAME, HOP, FFT, BANDS = 400, 160, 512, 64
OFFSET = 0.001
"""Added to a band's magnitude before the logarithm."""
STEM = 32
BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
    (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip
"""Channels and stride of each separable convolution."""
LEFT_OUT = frozenset(
    {
        "Male speech, man speaking", "Female speech, woman speaking", "Battle cry", "Male singing", "Female singing",
        "Funny music",
    }
)  # fmt: skip
"""The classes of AudioSet that YAMNet was not trained on."""
DELICATE = ("layers.22", "layers.23", "layers.24")
"""Stay float in int8: they cause more than half of its error, because the peaks of channels differ by up to 500."""


def _labels() -> tuple[str, ...]:
    """Return the 521 classes, in AudioSet's order."""
    return tuple(name for name in audioset.labels() if name not in LEFT_OUT)


class YamnetLogMel(nn.Module):
    """Logarithm of the magnitude (not of the power) in HTK mel bands from 125 to 7,500 Hz."""

    bank: Tensor

    def __init__(self) -> None:
        super().__init__()
        bank = kaldi_bank(SAMPLE_RATE, FFT, BANDS, 125, 7_500)
        used = used_bins(bank)
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)
        self.spectrum = Spectrum(hann, FFT, HOP, used)
        self.register_buffer("bank", torch.from_numpy(bank[used]), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """float32[batch, 15600] to float32[batch, 96, 64]."""
        (power,) = self.spectrum(waveform)
        magnitudes: Tensor = power.sqrt() @ self.bank
        return (magnitudes + OFFSET).log()


class YamnetConvolution(nn.Conv2d):
    """A convolution padded as in TensorFlow, with a ReLU: at stride 2 a row and a column after, none before."""

    def __init__(self, channels: int, out: int, size: int, stride: int = 1, *, depthwise: bool = False) -> None:
        padding = size // 2 if stride == 1 else 0
        super().__init__(channels, out, size, stride, padding, groups=channels if depthwise else 1)

    def forward(self, image: Tensor) -> Tensor:
        """float32[batch, channels, height, width], both even at stride 2."""
        if self.stride[0] == 2:
            image = F.pad(image, (0, 1, 0, 1))
        return super().forward(image).relu()


class Yamnet(nn.Module):
    """The network with its front end."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.frontend = YamnetLogMel()
        layers, channels = [YamnetConvolution(1, STEM, 3, 2)], STEM
        for out, stride in BLOCKS:
            layers += [
                YamnetConvolution(channels, channels, 3, stride, depthwise=True),
                YamnetConvolution(channels, out, 1),
            ]
            channels = out
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(channels, classes)

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """float32[batch, 15600] to probabilities float32[batch, classes] and embeddings float32[batch, 1024]."""
        return self.classify(self.frontend(waveform))

    def classify(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Log-mel float32[batch, 96, 64] to the same."""
        embedding = self.layers(mel[:, None]).mean(dim=(2, 3))
        return self.head(embedding).sigmoid(), embedding


def _read(path: Path) -> StateDict:
    """Read the weights in the published TFLite file. Raises `ModelError`."""
    found = read_layers(path)
    first = next((number for number, layer in enumerate(found) if layer.kind != "dense"), 0)
    layers = found[first:]  # the Fourier basis and the mel bank come before it
    wanted = ["convolution", *("depthwise", "convolution") * len(BLOCKS), "dense"]
    if [layer.kind for layer in layers] != wanted:
        raise ModelError(f"{path}: not YAMNet: it has other layers")
    names = [*(f"layers.{number}" for number in range(len(wanted) - 1)), "head"]
    state = {}
    for name, layer in zip(names, layers, strict=True):
        state[name + ".weight"] = torch.from_numpy(_as_torch(layer))
        state[name + ".bias"] = torch.from_numpy(layer.bias)
    return state


def _as_torch(layer: TfliteLayer) -> NDArray[np.float32]:
    """Weights in PyTorch's layout: [out, in, height, width]."""
    order = {"convolution": (0, 3, 1, 2), "depthwise": (3, 0, 1, 2), "dense": (0, 1)}[layer.kind]
    return np.ascontiguousarray(layer.weight.transpose(order))


def _build(state: StateDict, window: int) -> Yamnet:
    """Make the network with these weights. Raises `ModelError`."""
    if window != WINDOW:
        raise ModelError(f"YAMNet takes windows of {WINDOW} samples, not {window}")
    network = Yamnet(outputs_of(state, "head"))
    load_strict(network, state)
    return network.eval()


FAMILY = Family(
    name="yamnet",
    sample_rate=SAMPLE_RATE,
    window=WINDOW,
    shortest=WINDOW,
    labels=_labels,
    head="head",
    read=_read,
    build=_build,
    licence="Apache-2.0",
    source="Google, YAMNet: github.com/tensorflow/models/tree/master/research/audioset/yamnet",
    description="MobileNet v1 over a log-mel spectrogram: 521 AudioSet sounds from windows of 0.975 s at 16 kHz",
    quantization=Quantization("static", keep=DELICATE, equalise=True),
)
