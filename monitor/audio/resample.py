"""Conversion of captured audio to the one channel and the rate of the model."""

import numpy as np
import soxr

from monitor.messages import Samples


class Resampler:
    """Mixes a stream down to one channel and resamples it, block by block without seams."""

    def __init__(self, rate_in: int, rate_out: int) -> None:
        self._stream = (
            None if rate_in == rate_out else soxr.ResampleStream(rate_in, rate_out, 1, dtype="float32", quality="HQ")
        )

    def push(self, block: Samples, last: bool = False) -> Samples:
        """Convert float32[n, channels] to float32[m] at the output rate, within [-1, 1].

        The filter delays some milliseconds, which follow with later blocks or with the `last` one. NaN becomes 0,
        infinity full scale.
        """
        mono = block.mean(axis=1, dtype=np.float32) if block.shape[1] > 1 else block[:, 0]
        if not np.isfinite(mono).all():
            mono = np.nan_to_num(mono, posinf=1.0, neginf=-1.0)
        if self._stream is not None:
            mono = self._stream.resample_chunk(np.ascontiguousarray(mono), last=last)
        out: Samples = np.clip(mono, -1.0, 1.0)
        return out
