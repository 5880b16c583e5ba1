"""Exponential smoothing in seconds: a dropped window changes nothing but the resolution."""

import numpy as np

from monitor.messages import Samples


class Smoother:
    """First-order low-pass of scores, `s += (1 - exp(-dt / tau)) * (p - s)`, starting from silence."""

    def __init__(self, time_constants: Samples) -> None:
        """float32[n] seconds; 0 follows at once."""
        self._tau = np.maximum(time_constants, 1e-9)
        self.value: Samples = np.zeros_like(time_constants)

    def update(self, scores: Samples, dt: float) -> Samples:
        """Take float32[n] scores that come `dt` seconds after the last; returns the smoothed ones."""
        self.value = self.value + (1 - np.exp(-dt / self._tau)).astype(np.float32) * (scores - self.value)
        return self.value
