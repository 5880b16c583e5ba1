"""Reproducible state dicts and sounds, from which the golden answers were made."""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

GOLDEN = Path(__file__).parent / "golden"


def golden_keys(network: str) -> dict[str, tuple[int, ...]]:
    """Shapes of all keys of the official state dict except the front end's."""
    keys = json.loads((GOLDEN / f"{network}.keys.json").read_text())
    return {key: tuple(entry["shape"]) for key, entry in keys.items() if not entry.get("front")}


def state_dict(shapes: Mapping[str, tuple[int, ...]], salt: int = 1) -> dict[str, torch.Tensor]:
    """Weights that depend only on each key's name and `salt`, of a size that keeps deep networks alive."""
    return {key: torch.from_numpy(np.asarray(_value(key, shape, salt))) for key, shape in shapes.items()}


def _value(key: str, shape: tuple[int, ...], salt: int) -> NDArray[np.generic]:
    last = key.rsplit(".", 1)[-1]
    if last == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    z = np.random.default_rng([zlib.crc32(key.encode()), salt]).standard_normal(shape).astype(np.float32)
    of_decibels = "bn0" in key.split(".")
    if last == "running_mean":
        return 3 * z - 30 if of_decibels else 0.02 * z
    if last == "running_var":
        spread = np.abs(z)
        return 400 + 40 * spread if of_decibels else 1 + 0.2 * spread
    if last == "gamma":
        return 0.3 + 0.05 * z
    if z.ndim == 1:
        return 1.2 + 0.1 * z if last == "weight" else 0.02 * z
    return z * np.float32(np.sqrt(2 / z[0].size))


def clip(salt: int, samples: int = 320_000, rate: int = 32_000) -> NDArray[np.float32]:
    """A rising tone in noise with a burst: float32[samples]."""
    random = np.random.default_rng(salt)
    time = np.arange(samples) / rate
    sound = 0.3 * np.sin(2 * np.pi * (200 * time + 3000 / time[-1] * time * time))
    sound += 0.05 * random.standard_normal(samples)
    sound[samples // 3 : samples // 3 + 3200] += 0.4 * random.standard_normal(3200)
    return np.asarray(sound, np.float32)
