"""Networks in their published form, to compare ours with, and the weights that both use."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    ASTConfig,
    ASTFeatureExtractor,
    ASTForAudioClassification,
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
)

from monitor.messages import Samples
from monitor.zoo.build.export import sounds
from monitor.zoo.families.ced import Ced
from monitor.zoo.families.convnext import ChannelNorm
from monitor.zoo.family import AnyFamily, StateDict
from monitor.zoo.layers.log_mel import LogMel
from monitor.zoo.layers.mel import slaney_bank
from monitor.zoo.layers.vit import Size
from tests.bench.runtimes import Contender, in_litert
from tests.zoo.seeded import golden_keys, state_dict

GOLDEN = {
    "convnext-tiny": "convnext_tiny",
    "panns-cnn14": "Cnn14",
    "panns-wavegram-logmel-cnn14": "Wavegram_Logmel_Cnn14",
    "panns-mobilenetv1": "MobileNetV1",
    "panns-mobilenetv2": "MobileNetV2",
}
"""Names under which the published keys of a family are listed beside the tests."""

Network = TypeVar("Network", bound=nn.Module)

CED_TINY = Size(width=192, hidden=768, depth=12)


@dataclass(frozen=True, slots=True)
class Published:
    """The other side of the comparison."""

    state: StateDict
    """Weights, under the published keys."""

    contenders: dict[str, Contender]
    """The published forms by name; all are compared with the first."""


class PublishedLogMel(nn.Module):
    """Log-mel as in the published code: the whole DFT as two strided convolutions."""

    def __init__(self, bands: int, rate: int = 32_000, size: int = 1024, hop: int = 320) -> None:
        """`rate` in hertz; `size` and `hop` in samples."""
        super().__init__()
        self.hop, self.pad = hop, size // 2
        angle = 2 * np.pi / size * np.outer(np.arange(size // 2 + 1), np.arange(size))
        window = np.sin(np.pi * np.arange(size) / size) ** 2
        self.real = nn.Parameter(torch.from_numpy((window * np.cos(angle))[:, None].astype(np.float32)))
        self.imaginary = nn.Parameter(torch.from_numpy((window * np.sin(angle))[:, None].astype(np.float32)))
        self.bank = nn.Parameter(torch.from_numpy(slaney_bank(rate, size, bands, 50, 14_000)))

    def forward(self, waveform: Tensor) -> Tensor:
        """float32[batch, samples] to decibels float32[batch, frames, bands]."""
        padded = F.pad(waveform[:, None], (self.pad, self.pad), mode="reflect")
        real, imaginary = (F.conv1d(padded, basis, stride=self.hop) for basis in (self.real, self.imaginary))
        power = (real**2 + imaginary**2).transpose(1, 2) @ self.bank
        return 10 * torch.log10(power.clamp(min=1e-10))


class PublishedChannelNorm(nn.Module):
    """ConvNeXt's norm over the channels of a map as in the published code, step by step."""

    def __init__(self, norm: ChannelNorm) -> None:
        super().__init__()
        self.weight, self.bias = (nn.Parameter(values.detach()[:, None, None]) for values in (norm.weight, norm.bias))
        self.eps = norm.eps

    def forward(self, x: Tensor) -> Tensor:
        """float32[batch, channels, time, frequency] to the same."""
        centred = x - x.mean(1, keepdim=True)
        return self.weight * (centred / torch.sqrt(centred.pow(2).mean(1, keepdim=True) + self.eps)) + self.bias


def published(family: AnyFamily, checkpoint: Path | None) -> Published:
    """The published form of a family, with the weights of `checkpoint` or seeded ones."""
    return FORMS.get(family.name, _in_pytorch)(family, checkpoint)


def _in_pytorch(family: AnyFamily, checkpoint: Path | None) -> Published:
    """Our network before anything is folded, with the log-mel and the channel norms of the published code."""
    state = family.read(checkpoint) if checkpoint else state_dict(_shapes(family))
    network = family.build(state, family.window)
    frontend = getattr(network, "frontend", None)
    if isinstance(frontend, LogMel) and frontend.spectrum.frames.hop == 320 and frontend.pad == 512:
        network.frontend = PublishedLogMel(len(frontend.scale))
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, ChannelNorm):
                setattr(parent, name, PublishedChannelNorm(child))
    return Published(state, {"PyTorch": lambda waveform: network(torch.from_numpy(waveform))})


def _ast(family: AnyFamily, checkpoint: Path | None) -> Published:
    """transformers' AST, behind its feature extractor and alone."""
    if checkpoint:
        network = ASTForAudioClassification.from_pretrained(checkpoint, attn_implementation="eager").eval()
    else:
        config = ASTConfig(num_labels=len(family.labels()), attn_implementation="eager")
        network = _seeded(ASTForAudioClassification(config))
    extractor = ASTFeatureExtractor()

    def features(waveform: Samples) -> Tensor:
        extracted: Tensor = extractor(waveform[0], sampling_rate=family.sample_rate, return_tensors="pt").input_values
        return extracted

    return Published(network.state_dict(), _with_and_without(features, network, family.window))


def _clap(family: AnyFamily, checkpoint: Path | None) -> Published:
    """The audio tower of transformers' CLAP, behind its feature extractor and alone."""
    if checkpoint:
        network = ClapModel.from_pretrained(checkpoint).eval()
    else:
        network = _seeded(ClapModel(ClapConfig(text_config={"num_hidden_layers": 1})))
    extractor = ClapFeatureExtractor(frequency_min=50, truncation="rand_trunc")  # as published for the unfused models

    def features(waveform: Samples) -> Tensor:
        extracted = extractor(waveform[0], sampling_rate=family.sample_rate, return_tensors="pt")
        input_features: Tensor = extracted["input_features"].float()
        return input_features

    tower = _with_and_without(features, network.get_audio_features, family.window)
    return Published(network.state_dict(), tower)


def _yamnet(family: AnyFamily, checkpoint: Path | None) -> Published:
    """The published file itself, in LiteRT."""
    if checkpoint is None:
        raise SystemExit("yamnet: name the published TFLite file with --checkpoint")
    return Published(family.read(checkpoint), {"LiteRT": in_litert(checkpoint)})


FORMS: dict[str, Callable[[AnyFamily, Path | None], Published]] = {"ast": _ast, "clap": _clap, "yamnet": _yamnet}
"""Families that are published in other packages."""


def _with_and_without(
    features: Callable[[Samples], Tensor], network: Callable[[Tensor], object], window: int
) -> dict[str, Contender]:
    """A network behind its feature extractor, and the network alone on features that were extracted once."""
    extracted = features(sounds(1, window))
    return {
        "PyTorch": lambda waveform: network(features(waveform)),
        "PyTorch network": lambda waveform: network(extracted),
    }


def _shapes(family: AnyFamily) -> dict[str, tuple[int, ...]]:
    """The published keys and their shapes."""
    if family.name == "ced":
        network = Ced(CED_TINY, len(family.labels()))
        return {key: tuple(value.shape) for key, value in network.state_dict().items()}
    return golden_keys(GOLDEN[family.name])


def _seeded(network: Network) -> Network:
    """Seed the weights of the network: the initial ones contain zeros, which a runtime may skip."""
    parameters = {key: tuple(value.shape) for key, value in network.named_parameters() if value.ndim}
    network.load_state_dict(network.state_dict() | state_dict(parameters))
    return network.eval()
