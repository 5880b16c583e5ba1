"""Read the two towers from a CLAP checkpoint as published for transformers' ClapModel, under the names used here."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from monitor.errors import ModelError
from monitor.zoo.family import StateDict

PREFIXES = ("audio_model.", "audio_projection.", "text_model.", "text_projection.", "logit_scale_")
"""Prefixes, one of which every key has."""

SCALE = "logit_scale_a"
"""Key of the logarithm of the factor of the cosines."""

COUNTED = ("relative_position_index", "position_ids", "token_type_ids")
"""Ends of the keys of tables without weights, which the networks here compute themselves."""

Names = Sequence[tuple[re.Pattern[str], str]]

AUDIO: Names = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"^audio_model\.audio_encoder\.", "tower."),
        (r"^audio_projection\.linear1\.", "projection.0."),
        (r"^audio_projection\.linear2\.", "projection.2."),
        (r"\.layernorm_before\.", ".norm1."),
        (r"\.layernorm_after\.", ".norm2."),
        (r"\.attention\.self\.relative_position_bias_table$", ".attention.table"),
        (r"\.attention\.self\.", ".attention."),
        (r"\.attention\.output\.dense\.", ".attention.proj."),
        (r"\.intermediate\.dense\.", ".fc1."),
        (r"\.output\.dense\.", ".fc2."),
    )
)
TEXT: Names = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"^text_model\.", "tower."),
        (r"^text_projection\.linear1\.", "projection.0."),
        (r"^text_projection\.linear2\.", "projection.2."),
        (r"\.embeddings\.LayerNorm\.", ".norm."),
        (r"\.embeddings\.", "."),
        (r"\.encoder\.layer\.", ".layers."),
        (r"\.attention\.self\.", ".attention."),
        (r"\.attention\.output\.dense\.", ".attention.proj."),
        (r"\.attention\.output\.LayerNorm\.", ".norm1."),
        (r"\.intermediate\.dense\.", ".fc1."),
        (r"\.output\.dense\.", ".fc2."),
        (r"\.output\.LayerNorm\.", ".norm2."),
        (r"\.pooler\.dense\.", ".pooler."),
    )
)


def audio_state(state: StateDict) -> StateDict:
    """Return the audio tower's part. Raises `ModelError` for a checkpoint of another kind."""
    return _part(state, "audio_", AUDIO)


def text_state(state: StateDict) -> StateDict:
    """Return the text tower's part. Raises `ModelError` for a checkpoint of another kind."""
    return _part(state, "text_", TEXT)


def scale_of(state: StateDict) -> float:
    """Return the factor of the cosines before the softmax: the inverse of the trained temperature."""
    return float(state[SCALE].exp())


def _part(state: StateDict, prefix: str, names: Names) -> StateDict:
    _check(state)
    part = {}
    for key, value in state.items():
        if key.startswith(prefix) and not key.endswith(COUNTED):
            for pattern, name in names:
                key = pattern.sub(name, key)
            part[key] = value.float()
    return _join_qkv(part)


def _check(state: StateDict) -> None:
    if any(".fusion_model." in key or ".mel_conv2d." in key for key in state):
        raise ModelError("a CLAP with feature fusion, which takes random crops, is not supported: use the unfused one")
    strange = next((key for key in state if not key.startswith(PREFIXES)), None)
    lacking = next((prefix for prefix in PREFIXES if not any(key.startswith(prefix) for key in state)), None)
    if strange or lacking or SCALE not in state:
        what = f"it has {strange}" if strange else f"it lacks {lacking or SCALE}"
        raise ModelError(
            f"not a CLAP as published for transformers' ClapModel: {what}; LAION's and Microsoft's own files have "
            "another layout: use those of laion/clap-htsat-unfused or laion/larger_clap_general"
        )


def _join_qkv(state: StateDict) -> StateDict:
    """Join each layer's query, key and value into one layer `qkv`."""
    joined: dict[str, Tensor] = {}
    for key, value in state.items():
        before, query, after = key.partition(".attention.query.")
        if query:
            parts = [state.get(f"{before}.attention.{part}.{after}") for part in ("query", "key", "value")]
            joined[f"{before}.attention.qkv.{after}"] = torch.cat([part for part in parts if part is not None])
        elif ".attention.key." not in key and ".attention.value." not in key:
            joined[key] = value
    return joined
