"""Audio as it comes to audio as the model wants it: one channel, one rate."""

import numpy as np
import soxr

from monitor.messages import Samples


class Resampler:
    """Mixes down and resamples a stream block by block, with no seam between blocks."""

    def __init__(self, rate_in: int, rate_out: int) -> None:
        self._stream = (
            None if rate_in == rate_out else soxr.ResampleStream(rate_in, rate_out, 1, dtype="float32", quality="HQ")
        )

    def push(self, block: Samples, last: bool = False) -> Samples:
        """float32[n, channels] to float32[m] at the output rate, within [-1, 1].

        The filter holds back some milliseconds, which come with later blocks or with the `last` one.
        """
        mono = block.mean(axis=1, dtype=np.float32) if block.shape[1] > 1 else block[:, 0]
        if not np.isfinite(mono).all():
            mono = np.nan_to_num(mono, posinf=1.0, neginf=-1.0)
        if self._stream is not None:
            mono = self._stream.resample_chunk(np.ascontiguousarray(mono), last=last)
        out: Samples = np.clip(mono, -1.0, 1.0)
        return out
