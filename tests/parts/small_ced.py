"""A checkpoint of 0.5 MB in CED's layout: a real network of one block."""

from pathlib import Path

import torch

from tests.zoo.seeded import state_dict

SECOND = 16_000
"""Samples in a second."""
WIDTH = 64
SHAPES = {
    "encoder.init_bn.1.weight": (64,),
    "encoder.init_bn.1.bias": (64,),
    "encoder.init_bn.1.running_mean": (64,),
    "encoder.init_bn.1.running_var": (64,),
    "encoder.patch_embed.proj.weight": (WIDTH, 1, 16, 16),
    "encoder.patch_embed.proj.bias": (WIDTH,),
    "encoder.time_pos_embed": (1, WIDTH, 1, 63),
    "encoder.freq_pos_embed": (1, WIDTH, 4, 1),
    "encoder.blocks.0.norm1.weight": (WIDTH,),
    "encoder.blocks.0.norm1.bias": (WIDTH,),
    "encoder.blocks.0.attn.qkv.weight": (3 * WIDTH, WIDTH),
    "encoder.blocks.0.attn.qkv.bias": (3 * WIDTH,),
    "encoder.blocks.0.attn.proj.weight": (WIDTH, WIDTH),
    "encoder.blocks.0.attn.proj.bias": (WIDTH,),
    "encoder.blocks.0.norm2.weight": (WIDTH,),
    "encoder.blocks.0.norm2.bias": (WIDTH,),
    "encoder.blocks.0.mlp.fc1.weight": (2 * WIDTH, WIDTH),
    "encoder.blocks.0.mlp.fc1.bias": (2 * WIDTH,),
    "encoder.blocks.0.mlp.fc2.weight": (WIDTH, 2 * WIDTH),
    "encoder.blocks.0.mlp.fc2.bias": (WIDTH,),
    "encoder.norm.weight": (WIDTH,),
    "encoder.norm.bias": (WIDTH,),
    "outputlayer.0.weight": (WIDTH,),
    "outputlayer.0.bias": (WIDTH,),
    "outputlayer.1.weight": (527, WIDTH),
    "outputlayer.1.bias": (527,),
}


def write_small_ced(path: Path, salt: int = 1, classes: int = 527) -> Path:
    """Write the checkpoint to `path`, under the key that published files use; return `path`."""
    head = {"outputlayer.1.weight": (classes, WIDTH), "outputlayer.1.bias": (classes,)}
    torch.save({"model": state_dict(SHAPES | head, salt)}, path)
    return path
