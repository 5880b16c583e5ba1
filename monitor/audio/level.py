"""Level of audio."""

import math

import numpy as np

from monitor.messages import SILENCE_DBFS, Samples


def dbfs(samples: Samples) -> float:
    """Return the RMS level of float32[n] in dBFS: 0 for a full-scale square wave, -120 for digital silence."""
    if not len(samples):
        return SILENCE_DBFS
    power = float(np.dot(samples, samples)) / len(samples)
    return max(SILENCE_DBFS, 10 * math.log10(power)) if power > 0 else SILENCE_DBFS
