"""Level of audio, and detection of a signal that is stuck at one value."""

import math

import numpy as np

from monitor.messages import SILENCE_DBFS, Samples


def dbfs(samples: Samples) -> float:
    """Return the RMS level of float32[n] in dBFS: 0 for a full-scale square wave, -120 for digital silence."""
    if not len(samples):
        return SILENCE_DBFS
    power = float(np.dot(samples, samples)) / len(samples)
    return max(SILENCE_DBFS, 10 * math.log10(power)) if power > 0 else SILENCE_DBFS


class StuckDetector:
    """Counts the seconds for which a stream has repeated one value.

    A muted, dead or unplugged microphone delivers exact zeros or a constant, the quietest real room noise.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._last = np.float32(np.nan)
        self.seconds = 0.0

    def push(self, samples: Samples) -> None:
        """Add float32[n] to the end of the stream."""
        if not len(samples):
            return
        before, self._last = self._last, samples[-1]
        others = np.flatnonzero(samples != self._last)
        if len(others):
            self.seconds = (len(samples) - 1 - int(others[-1])) / self._rate
        elif self._last == before:
            self.seconds += len(samples) / self._rate
        else:
            self.seconds = len(samples) / self._rate
