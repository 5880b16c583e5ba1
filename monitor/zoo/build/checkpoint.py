"""Read published weights without running code from the file, and load them without a key left over."""

import pickle
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from monitor.errors import ModelError

MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
"""The modules in which NumPy 1 and 2 keep the functions that rebuild an array."""

UNUSED = ".num_batches_tracked"
"""Ends the key of a counter of training steps, which never changes an answer."""

_REBUILD: tuple[Callable[..., Any], ...] = (multiarray._reconstruct, multiarray.scalar)
NUMPY: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    np.ndarray,
    np.dtype,
    *(type(np.dtype(code)) for code in np.typecodes["All"] if code != "O"),
    *((made, f"{module}.{made.__name__}") for made in _REBUILD for module in MODULES),
]
"""Arrays and scalars, which training code may save beside the weights (PANNs' saved the order of its samples). They are
data; an array of objects is still refused."""

NAMED = 5
"""Keys to name in a message; the others are counted."""


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the state dict in a PyTorch or safetensors file, either bare or under the key `model`.

    Raises `ModelError` for a file that is missing, damaged, or holds anything but tensors and plain values. Code in the
    file never runs.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such file")
    try:
        if path.suffix == ".safetensors":
            content = load_file(path)
        else:
            with torch.serialization.safe_globals(NUMPY):
                content = torch.load(path, "cpu", weights_only=True)
    except SafetensorError as error:
        raise ModelError(f"{path}: incomplete safetensors file ({error}); download it again") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, AttributeError, OSError) as error:
        raise ModelError(
            f"{path}: not a complete file of PyTorch weights, or it contains code, which is never run; "
            "download it again from its publisher"
        ) from error
    state = content.get("model", content) if isinstance(content, dict) else content
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f"{path}: contains no state dict, neither bare nor under the key 'model'")
    return state


def load_strict(module: nn.Module, state: Mapping[str, Tensor], ignore_prefixes: Iterable[str] = ()) -> None:
    """Load `state` into `module`, whose keys it must match exactly.

    Keys that begin with one of `ignore_prefixes` are ignored. Raises `ModelError` that names the keys that are missing,
    unexpected, or of another shape.
    """
    ignored = tuple(ignore_prefixes)
    given = {key: value for key, value in state.items() if not key.startswith(ignored)} if ignored else dict(state)
    wanted = module.state_dict()
    missing = [key for key in wanted if key not in given and not key.endswith(UNUSED)]
    unexpected = [key for key in given if key not in wanted]
    if missing or unexpected:
        faults = [f"{what} {_some(keys)}" for what, keys in (("lacks", missing), ("also holds", unexpected)) if keys]
        raise ModelError(f"the checkpoint is not of this family: it {' and '.join(faults)}")
    misshapen = [
        f"{key} is {list(value.shape)}, not {list(wanted[key].shape)}"
        for key, value in given.items()
        if value.shape != wanted[key].shape
    ]
    if misshapen:
        raise ModelError(f"the checkpoint is not of this family: {_some(misshapen)}")
    module.load_state_dict(given, strict=False)  # only counters are missing now


def outputs_of(state: Mapping[str, Tensor], layer: str) -> int:
    """Return the number of outputs of a linear layer in a checkpoint.

    1 if the layer is missing, which `load_strict` reports.
    """
    weight = state.get(f"{layer}.weight")
    return 1 if weight is None or not weight.ndim else len(weight)


def _some(names: list[str]) -> str:
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")
