"""AST, the Audio Spectrogram Transformer: overlapping patches of a log-mel spectrogram through a vision transformer.

Source: Gong, Chung, Glass, AST: Audio Spectrogram Transformer (2021), and the authors' code.
"""

import re
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from monitor.zoo.build.checkpoint import load_strict, outputs_of
from monitor.zoo.families.audioset import labels
from monitor.zoo.family import Family, StateDict
from monitor.zoo.layers.log_mel import KaldiSpectrum, LogMel
from monitor.zoo.layers.mel import kaldi_bank, used_bins
from monitor.zoo.layers.vit import Size, ViTBlock, size_of, split_qkv
from monitor.zoo.metadata import Quantization

RATE = 16_000
FRAME, HOP = 400, 160
BANDS = 128
FLOOR = 2**-23
"""Least power in a band: float32's epsilon, as in Kaldi."""

MEAN, SPREAD = -4.2677393, 2 * 4.5689974
"""Mean, and two standard deviations, of the log-mel values over AudioSet."""

WINDOW, FRAMES = 163_840, 1024
"""Samples that the network was trained on, and their frames, the last two of which are padding."""

PATCH = 16
STRIDES = (10, 12, 14, 16)
"""Bands, and frames, from one patch to the next: the published sizes."""

TOKENS = 2
"""Tokens before the patches: the class token and the distillation token. The head reads only these."""

EPSILON = 1e-12
"""Epsilon of each LayerNorm, as in transformers; the 1e-6 in the authors' code makes no difference in float32."""

RENAMED = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"^module\.(v\.)?", ""),
        (r"^audio_spectrogram_transformer\.(embeddings\.)?", ""),
        (r"^distillation_token$", "dist_token"),
        (r"^position_embeddings$", "pos_embed"),
        (r"^patch_embeddings\.projection\.", "patch_embed.proj."),
        (r"^(encoder\.layer|layers)\.", "blocks."),
        (r"\.attention\.(attention\.)?([qkv])(uery|ey|alue|_proj)\.", r".attn.\2."),
        (r"\.attention\.(output\.dense|o_proj)\.", ".attn.proj."),
        (r"\.intermediate\.dense\.", ".mlp.fc1."),
        (r"\.output\.dense\.", ".mlp.fc2."),
        (r"\.layernorm_before\.", ".norm1."),
        (r"\.layernorm_after\.", ".norm2."),
        (r"^layernorm\.", "norm."),
        (r"^classifier\.layernorm\.", "mlp_head.0."),
        (r"^classifier\.dense\.", "mlp_head.1."),
    )
)
"""From keys of the authors' file, and of both generations of transformers' files, to the names used here."""

UNUSED = ("head.", "head_dist.")
"""Prefixes of the heads for ImageNet that the authors' file still contains."""


class PatchGrid(NamedTuple):
    """Patches in the frames that a network was trained on."""

    stride: int

    @property
    def rows(self) -> int:
        """Patches along the bands."""
        return (BANDS - PATCH) // self.stride + 1

    @property
    def columns(self) -> int:
        """Patches in time."""
        return self.fitting(FRAMES)

    def fitting(self, frames: int) -> int:
        """Return the number of whole patches in time in so many frames."""
        return (frames - PATCH) // self.stride + 1


class Ast(nn.Module):
    """The whole network, front end included, for windows of any one length."""

    def __init__(self, size: Size, classes: int, grid: PatchGrid) -> None:
        super().__init__()
        width = size.width
        self.padding = 0
        """Frames of padding to add, so that the last patch is whole."""
        self.frontend = _front_end()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.dist_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, TOKENS + grid.rows * grid.columns, width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(1, width, PATCH, grid.stride)})
        self.blocks = nn.ModuleList(ViTBlock(width, size.hidden, EPSILON) for _ in range(size.depth))
        self.norm = nn.LayerNorm(width, EPSILON)
        self.mlp_head = nn.Sequential(nn.LayerNorm(width, EPSILON), nn.Linear(width, classes))

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """float32[batch, samples] at 16 kHz to float32[batch, classes] in [0, 1] and float32[batch, width]."""
        mel = self.frontend(waveform).transpose(1, 2)
        if self.padding:
            mel = F.pad(mel, (0, self.padding), value=-MEAN / SPREAD)
        patches = self.patch_embed["proj"](mel[:, None]).flatten(2).transpose(1, 2)
        tokens = torch.cat((self.cls_token, self.dist_token), 1).expand(patches.shape[0], -1, -1)
        x = torch.cat((tokens, patches), 1) + self.pos_embed
        for block in self.blocks[:-1]:
            x = block(x)
        x = self.blocks[-1](x, first=TOKENS)  # nothing reads the patches after it
        embedding = self.norm(x).mean(1)
        return self.mlp_head(embedding).sigmoid(), embedding


def _build(state: StateDict, window: int) -> Ast:
    """Make the network of the published weights, for windows of `window` samples.

    The stride is the one whose patches the position table counts. At 10.24 s the network answers as transformers'
    ASTForAudioClassification does with its ASTFeatureExtractor. For another length the position table is cut or
    stretched by the authors' rule, instead of padding the window with silence: a shorter window costs less. Raises
    `ModelError`.
    """
    state = _renamed(state)
    grid = _grid_of(state)
    network = Ast(size_of(state), outputs_of(state, "mlp_head.1"), grid)
    load_strict(network, state, UNUSED)
    frames = (window - FRAME) // HOP + 1
    columns = grid.columns if window == WINDOW else grid.fitting(frames)
    network.padding = max(0, (columns - 1) * grid.stride + PATCH - frames)
    network.pos_embed = nn.Parameter(positions(network.pos_embed.detach(), grid, columns))
    return network.eval()


def _grid_of(state: StateDict) -> PatchGrid:
    """The grid with as many patches as the position table has; the largest, which `load_strict` checks, if none has."""
    table = state.get("pos_embed")
    patches = table.shape[1] - TOKENS if table is not None and table.ndim == 3 else 0
    grids = [PatchGrid(stride) for stride in STRIDES]
    return next((grid for grid in grids if grid.rows * grid.columns == patches), grids[0])


def positions(table: Tensor, grid: PatchGrid, columns: int) -> Tensor:
    """Adapt the position table float32[1, TOKENS + patches, width] of `grid` to another number of patches in time.

    A shorter table is cut from the middle, a longer one interpolated: the authors' rule.
    """
    image = table[:, TOKENS:].transpose(1, 2).reshape(1, -1, grid.rows, grid.columns)
    if columns <= grid.columns:
        start = grid.columns // 2 - columns // 2
        image = image[..., start : start + columns]
    else:
        image = F.interpolate(image, (grid.rows, columns), mode="bilinear")
    return torch.cat((table[:, :TOKENS], image.flatten(2).transpose(1, 2)), 1)


def _front_end() -> LogMel:
    """Normalised log-mel values."""
    bank = kaldi_bank(RATE, 512, BANDS, 20, RATE / 2)
    mel = LogMel(KaldiSpectrum(FRAME, 512, HOP, used_bins(bank)), bank, floor=FLOOR, scale=1 / SPREAD, pad=0)
    mel.shift -= MEAN / SPREAD
    return mel


def _renamed(state: StateDict) -> StateDict:
    renamed = {}
    for key, value in state.items():
        for pattern, name in RENAMED:
            key = pattern.sub(name, key)
        renamed[key] = value
    return split_qkv(renamed)


FAMILY = Family(
    name="ast",
    sample_rate=RATE,
    window=WINDOW,
    shortest=FRAME + (PATCH - 1) * HOP,
    labels=labels,
    head="mlp_head.1",
    build=_build,
    licence="BSD-3-Clause",
    source="https://github.com/YuanGongND/ast",
    description="Audio Spectrogram Transformer: AudioSet mAP 0.459 as published; 87 M parameters",
    quantization=Quantization("dynamic", keep=("frontend", "mlp_head")),
)
