"""What a network itself answers: what its exported file is compared with."""

import numpy as np
import torch
from torch import nn

from monitor.messages import Samples


def answers(network: nn.Module, waveforms: Samples) -> list[Samples]:
    """What it gives for float32[n, samples], each row on its own: float32[n, ...], in its order."""
    with torch.no_grad():
        rows = [network(torch.from_numpy(row[None])) for row in waveforms]
    return [np.concatenate(parts) for parts in zip(*rows, strict=True)]
