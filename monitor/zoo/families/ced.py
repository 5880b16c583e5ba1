"""CED: small vision transformers on log-mel patches, distilled from an ensemble of larger ones.

Source: Dinkel et al., CED: Consistent Ensemble Distillation for Audio Tagging (2024), and the authors' code.
"""

import torch
from torch import Tensor, nn

from monitor.errors import ModelError
from monitor.zoo.build.checkpoint import load_strict, outputs_of
from monitor.zoo.families.audioset import labels
from monitor.zoo.family import Family, StateDict
from monitor.zoo.layers.log_mel import DECIBELS, HannSpectrum, LogMel
from monitor.zoo.layers.mel import htk_bank, used_bins
from monitor.zoo.layers.vit import Size, ViTBlock, size_of, split_qkv
from monitor.zoo.metadata import Quantization

RATE = 16_000
SIZE, HOP = 512, 160
BANDS = 64
RANGE = 120.0
"""Decibels below a window's loudest value at which its values are cut off."""

PATCH = 16
ROWS = BANDS // PATCH
LONGEST = 1012
"""Frames that the position table covers."""

EPSILON = 1e-6
"""Epsilon of each LayerNorm except the head's."""


class Ced(nn.Module):
    """The whole network, front end included, for windows of up to LONGEST frames."""

    def __init__(self, size: Size, classes: int) -> None:
        super().__init__()
        width = size.width
        bank = htk_bank(RATE, SIZE, BANDS, 0, RATE / 2)
        spectrum = HannSpectrum(SIZE, HOP, used_bins(bank))
        self.frontend = LogMel(spectrum, bank, floor=1e-10, scale=DECIBELS, pad=SIZE // 2)
        self.init_bn = nn.BatchNorm1d(BANDS)
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(1, width, PATCH, PATCH)})
        self.time_pos_embed = nn.Parameter(torch.zeros(1, width, 1, LONGEST // PATCH))
        self.freq_pos_embed = nn.Parameter(torch.zeros(1, width, ROWS, 1))
        self.blocks = nn.ModuleList(ViTBlock(width, size.hidden, EPSILON) for _ in range(size.depth))
        self.norm = nn.LayerNorm(width, EPSILON)
        self.outputlayer = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, classes))

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """float32[batch, samples] at 16 kHz to float32[batch, classes] in [0, 1] and float32[batch, width]."""
        mel = self.frontend(waveform)
        mel = torch.maximum(mel, mel.amax((1, 2), keepdim=True) - RANGE)
        patches = self.patch_embed["proj"](self.init_bn(mel.transpose(1, 2))[:, None])
        patches = patches + self.time_pos_embed[..., : patches.shape[3]] + self.freq_pos_embed
        x = patches.flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        embedding = self.norm(x).mean(1)
        return self.outputlayer(embedding).sigmoid(), embedding


def _build(state: StateDict, window: int) -> Ced:
    """Make the network of the published weights, of any size of CED, for windows of up to `window` samples.

    Each row gets the answer that the authors' code gives it alone; in a batch, theirs cuts off the quiet values of all
    rows relative to the loudest value of any. Raises `ModelError`, also for a window longer than the position table.
    """
    if window // HOP + 1 > LONGEST:
        raise ModelError(
            f"CED takes windows of up to {(LONGEST * HOP - 1) / RATE:.2f} s, not {window / RATE:.2f} s: "
            "choose a shorter one; the detector combines windows"
        )
    state = split_qkv({_renamed(key): value for key, value in state.items()})
    network = Ced(size_of(state), outputs_of(state, "outputlayer.1"))
    load_strict(network, state, ("front_end.",))
    return network.eval()


def _renamed(key: str) -> str:
    """The name used here for a key of the authors' file or of transformers'."""
    return key.removeprefix("encoder.").replace("init_bn.1.", "init_bn.")


FAMILY = Family(
    name="ced",
    sample_rate=RATE,
    window=160_000,
    shortest=(PATCH - 1) * HOP,
    labels=labels,
    head="outputlayer.1",
    build=_build,
    licence="Apache-2.0",
    source="https://github.com/RicherMans/CED",
    description="Consistent ensemble distillation: AudioSet mAP 0.481 (Tiny) and 0.490 (Mini) as published",
    quantization=Quantization("dynamic", keep=("frontend", "outputlayer")),
    variable=True,
)
