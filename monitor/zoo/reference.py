"""What a network itself answers: what its exported file is compared with."""

import numpy as np
import torch
from torch import nn

from monitor.messages import Samples


def answers(network: nn.Module, waveforms: Samples) -> tuple[Samples, Samples]:
    """Probabilities float32[n, classes] and embeddings float32[n, dims] of float32[n, samples], each row on its own."""
    with torch.no_grad():
        rows = [network(torch.from_numpy(row[None])) for row in waveforms]
    return np.concatenate([scores for scores, _ in rows]), np.concatenate([embedding for _, embedding in rows])
