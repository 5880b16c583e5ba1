"""Where decoded audio belongs in time, in which format it is, and whether it can be audio at all."""

import logging
from dataclasses import dataclass

import numpy as np
import soxr

from monitor.messages import Samples

log = logging.getLogger(__name__)

HOLE = 0.1
"""Seconds by which timestamps may disagree with the samples: containers round them."""
LONGEST_HOLE = 86400.0
"""A timestamp further ahead than this many seconds is a new count, not a hole."""
IMPLAUSIBLE = 16.0
"""Multiple of full scale that no recording reaches."""


@dataclass(frozen=True, slots=True)
class TimedBlock:
    """Decoded audio, and where it belongs."""

    samples: Samples
    """float32[n, channels]."""
    rate: int
    """Hertz."""
    at: float
    """Where the first sample is in the file, seconds."""
    new: bool
    """Whether it does not continue the block before it: after a hole, or in another format."""

    @property
    def end(self) -> float:
        """Where the block ends, seconds."""
        return self.at + len(self.samples) / self.rate


class Timeline:
    """Places decoded frames by their timestamps; time never goes back."""

    def __init__(self, origin: float | None, start: float = 0.0) -> None:
        """`origin` is the timestamp of the second `start`; None for that of the first frame."""
        self._origin = origin - start if origin is not None else None
        self._start = start
        self._end: float | None = None

    def place(self, stamp: float | None, duration: float) -> tuple[float, float]:
        """Return where a frame begins and how long the hole before it is, seconds.

        A `stamp` that is None continues the audio before it. One that goes back starts a new count, without a hole.
        """
        if self._origin is None:
            self._origin = (stamp or 0.0) - self._start
        end, hole = self._end, 0.0
        at = stamp - self._origin if stamp is not None else end or self._start
        if end is None:
            begin = max(self._start, at)
        elif HOLE < at - end <= LONGEST_HOLE:
            begin, hole = at, at - end
        else:
            begin = end
            if abs(at - end) > HOLE:
                self._origin += at - end
        self._end = begin + duration
        return begin, hole


class Converter:
    """Converts audio whose rate or channels change to those of its start."""

    def __init__(self, rate: int, channels: int) -> None:
        """`rate` in hertz."""
        self._rate, self._channels = rate, channels
        self._from = rate
        self._stream: soxr.ResampleStream | None = None

    def push(self, block: TimedBlock) -> Samples:
        """Convert a block to float32[n, channels]; a change drops the last milliseconds before it."""
        samples = block.samples
        if not len(samples):
            return np.empty((0, self._channels), np.float32)
        if samples.shape[1] != self._channels:
            samples = np.repeat(samples.mean(axis=1, keepdims=True, dtype=np.float32), self._channels, axis=1)
        if block.rate != self._from:
            self._from, same = block.rate, block.rate == self._rate
            self._stream = None if same else soxr.ResampleStream(block.rate, self._rate, self._channels, "float32")
        return samples if self._stream is None else self._stream.resample_chunk(np.ascontiguousarray(samples))


class Doubt:
    """Warns, once a kind, about samples that cannot be audio."""

    def __init__(self, name: str) -> None:
        """`name` of the file or stream."""
        self._name = name
        self._said: set[str] = set()
        self._loudest = 0.0

    def look(self, block: TimedBlock) -> None:
        """Look at the next block."""
        if not len(block.samples):
            return
        peak = max(float(block.samples.max()), -float(block.samples.min()))
        if not np.isfinite(peak):
            self._say("NaN or infinite samples", block.at)
        elif peak > IMPLAUSIBLE:
            self._say(f"samples of {peak:.2g} times full scale", block.at)
        self._loudest = max(self._loudest, peak)

    def silent(self) -> None:
        """Warn if all of it was digital silence."""
        if self._loudest == 0:
            log.warning("%s: contains nothing but digital silence", self._name)

    def _say(self, what: str, at: float) -> None:
        if what.partition(" of ")[0] not in self._said:
            self._said.add(what.partition(" of ")[0])
            log.warning("%s: %s from %s: damaged, or in another format?", self._name, what, minutes(at))


def minutes(seconds: float) -> str:
    """Format a time in a file, as in 61:02.50."""
    whole, rest = divmod(round(seconds, 2), 60)
    return f"{int(whole)}:{rest:05.2f}"
