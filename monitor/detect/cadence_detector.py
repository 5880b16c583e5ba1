"""Follows one source for the cadences of alarms: short spectra, which `Groups` looks through for beeps."""

from collections.abc import Sequence

import numpy as np

from monitor.detect.cadence import BATCH, NARROW, SILENT, STEP, Groups
from monitor.messages import Cadence, Samples, Window

FRAME = 1 / 32
"""Seconds of sound in a spectrum."""
BESIDE = (-8, -7, -6, -5, 5, 6, 7, 8)
"""Bins that a tone is compared with; closer ones carry its own skirts."""


class CadenceDetector:
    """Follows one source. Memory and time are bounded; while no tone sounds, a hop costs a few short transforms."""

    def __init__(self, cadences: Sequence[Cadence], rate: int) -> None:
        """`rate` in hertz."""
        self._rate = rate
        self._step, self._size = round(STEP * rate), 1 << round(np.log2(FRAME * rate))
        self._taper = np.hanning(self._size + 1)[:-1].astype(np.float32)
        pitch = np.asarray(np.fft.rfftfreq(self._size, 1 / rate), np.float64)
        bands = {band for cadence in cadences for band in cadence.bands}
        margin = rate / self._size  # a tone's pitch needs the bins on either side
        inside = [(pitch >= low - margin) & (pitch <= high + margin) for low, high in bands]
        self._bins = np.flatnonzero(np.any(inside, axis=0))
        self._bins = self._bins[(self._bins >= max(BESIDE)) & (self._bins < len(pitch) - max(BESIDE))]
        self._beside = self._bins[:, None] + np.array(BESIDE)
        self._groups = [Groups(cadence, pitch[self._bins]) for cadence in cadences]
        self._history = max((group.history for group in self._groups), default=0)
        shape = (2 * self._history + BATCH, len(self._bins))
        self._level, self._rise = np.empty(shape, np.float32), np.empty(shape, np.float32)
        self._narrow = np.empty(shape, np.int64)  # how many frames so far had a narrow tone
        self.reset()

    def reset(self, start: int = 0) -> None:
        """Forget everything: audio that does not follow on starts at this sample of its epoch."""
        self._start = self._end = start
        self._samples: Samples = np.zeros(0, np.float32)
        self._filled, self._frames = self._history, 0
        self._level[: self._filled], self._rise[: self._filled], self._narrow[: self._filled] = SILENT, 0.0, 0
        for group in self._groups:
            group.reset()

    def follow(self, window: Window) -> Samples:
        """Scores float32[cadences] in [0, 1] at the end of the next window, which may overlap the last one."""
        if not window.start <= self._end <= window.end:
            self.reset(window.start)
        samples = window.samples[self._end - window.start :]
        self._end = window.end
        return self.update(samples)

    def span(self, cadence: int) -> tuple[int, int]:
        """First and last sample of the alarm of this number whose score is above 0, in its epoch."""
        group = self._groups[cadence]
        return self._sample(group.first), self._sample(group.last)

    def update(self, samples: Samples) -> Samples:
        """Scores float32[cadences] in [0, 1] after the next samples float32[n], half a second late at most."""
        self._samples = np.concatenate((self._samples, samples))
        while len(self._samples) >= self._size + (BATCH - 1) * self._step:
            self._transform()
            past = slice(0, self._filled)
            for group in self._groups:
                group.update(self._level[past], self._rise[past], self._narrow[past], self._seconds)
        return np.array([group.score(self._seconds) for group in self._groups], np.float32)

    @property
    def _seconds(self) -> float:
        return self._frames * self._step / self._rate

    def _sample(self, seconds: float) -> int:
        return self._start + round(seconds * self._rate)

    def _transform(self) -> None:
        """Append the levels of the next frames, and how far they rise above the frequencies beside them; dB."""
        frames = np.lib.stride_tricks.sliding_window_view(self._samples, self._size)[:: self._step][:BATCH]
        power = np.square(np.abs(np.fft.rfft(frames * self._taper, axis=1))).astype(np.float32)
        level = 10 * np.log10(power + 10 ** (SILENT / 10))
        if self._filled + BATCH > len(self._level):  # move the past to the front, once in so many batches
            for rows in (self._level, self._rise, self._narrow):
                rows[: self._history] = rows[self._filled - self._history : self._filled]
            self._filled = self._history
        new = slice(self._filled, self._filled + BATCH)
        self._level[new] = level[:, self._bins]
        self._rise[new] = self._level[new] - level[:, self._beside].mean(axis=2)
        self._narrow[new] = self._narrow[self._filled - 1] + np.cumsum(self._rise[new] >= NARROW, axis=0)
        self._filled += BATCH
        self._frames += BATCH
        self._samples = self._samples[BATCH * self._step :]
