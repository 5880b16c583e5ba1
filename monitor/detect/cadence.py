"""Alarms by their timing: the beeps of smoke and carbon monoxide alarms, found beside the classifier.

An alarm repeats a group of equal beeps of one pitch, with gaps and a pause of known length. Smoke alarms follow ISO
8201 (T3: three beeps of half a second), carbon monoxide alarms UL 2034 (T4: four of a tenth), both at about 3.1 kHz or
as a 520 Hz square wave (NFPA 72). A group is found where one frequency alone rises and falls in this rhythm, whatever
its level. A second group of the same pitch, one period later, confirms the alarm.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.messages import Cadence, Samples

STEP = 1 / 64
"""Seconds between two spectra."""
BATCH = 32
"""Spectra that are computed together: half a second, to share the cost of each call."""
SPEEDS = (0.88, 0.92, 0.96, 1.0, 1.04, 1.08, 1.12)
"""Lengths of a group's parts relative to the cadence's that are tried: an alarm's clock may be 10 % off."""
LEAD, TAIL = 0.75, 0.75
"""Seconds without the tone that a group needs before and after it."""
SLICE, LEADING = 0.15, 5
"""Seconds of that quiet that are averaged, no slice of which may hold the tone, and slices before the group."""
NARROW = 10.0
"""Decibels that each beep must rise above the frequencies beside it."""
EVEN = 6.0
"""Decibels by which the beeps of one group may differ."""
STEADY, SETTLED = 2.5, 6
"""Decibels by which the two halves of the beeps may differ on average, as a struck note decays; frames of a half."""
DIP = 2.0
"""Decibels by which the tone must fall in each gap: reverberation fills short ones."""
QUIET = 10.0
"""Decibels by which the tone must fall before and after a group."""
BUSY = 0.15
"""Share of the pause between two groups in which the tone, within 6 dB of the beeps, may sound."""
PITCH = 0.5
"""Bins of the spectrum by which the pitch of the beeps of one group may differ."""
REPEAT_PITCH, REPEAT_LEVEL = 0.2, 3.5
"""Bins, and decibels, by which the next group may differ from the last: it is the same sounder at the same place."""
SILENT = -100.0
"""Decibels of nothing."""
LASTING = 1.3
"""Periods after a group for which its score lasts: until well after the next one is due."""
ONE, CONFIRMED = 0.4, 1.0
"""Scores of one group, and of a second one that follows it in time."""


CADENCES = (
    Cadence("Smoke alarm pattern (T3)", beeps=3, on=0.5, off=0.5, pause=1.5),
    Cadence("Carbon monoxide alarm pattern (T4)", beeps=4, on=0.1, off=0.1, pause=5.0),
)
"""Those that every rule can use."""


@dataclass(frozen=True, slots=True)
class _Group:
    """One group of beeps that was found."""

    at: float
    """Seconds at which the quiet after it ends."""
    pitch: float
    """Bins of the spectrum."""
    level: float
    """Decibels of its weakest beep."""
    contrast: float
    """Decibels between its weakest beep and its loudest silence: of several alignments the best one counts."""


class Groups:
    """The groups of one cadence that were found lately."""

    def __init__(self, cadence: Cadence, pitch: NDArray[np.float64]) -> None:
        """`pitch`: hertz of each bin that is followed, a bin more on either side included."""
        self._cadence = cadence
        self._inside = np.any([(pitch >= low) & (pitch <= high) for low, high in cadence.bands], axis=0)
        self._inside[:1] = self._inside[-1:] = False
        self._beeps, self._gaps, self._around = _spans(cadence)
        self._group = int(-self._around.min()) + 1
        self.history = self._group + round(SPEEDS[-1] * (cadence.pause or 0.0) / STEP)
        """Frames of the past that are looked at: a group at the slowest speed, and the pause before it."""
        self._least = 0.5 * cadence.beeps * cadence.on / STEP
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._found: list[_Group] = []
        self._confirmed = -np.inf
        self.first = self.last = 0.0
        """Seconds at which the groups that count started and ended."""

    def score(self, now: float) -> float:
        """The score at this second."""
        lasting = LASTING * self._cadence.period
        if now - self._confirmed <= lasting:
            return CONFIRMED
        return ONE if self._found and now - self._found[-1].at <= lasting else 0.0

    def update(self, level: Samples, rise: Samples, narrow: NDArray[np.int64], now: float) -> None:
        """Look for groups whose following quiet ends in one of the newest frames, the last of which ends `now`.

        `level`, `rise`: float32[frames, bins], dB. `narrow`: int64[frames, bins], frames so far with a narrow tone.
        """
        recent = slice(len(level) - self._group - BATCH, None)
        tones = np.flatnonzero(self._inside & (narrow[-1] - narrow[recent][0] >= self._least))
        if not len(tones):  # most of the time
            return
        ends = np.arange(self._group + 1, self._group + BATCH + 1)
        contrast = self._contrast(level[recent, tones], rise[recent, tones], ends)
        for column in np.flatnonzero((contrast > 0).any(axis=(0, 1))):
            end, speed = np.unravel_index(np.argmax(contrast[:, :, column]), contrast.shape[:2])
            last = len(level) - BATCH + 1 + int(end)
            beeps = [level[last + first : last + after] for first, after in self._beeps[speed]]
            pitches = _pitches(beeps, int(tones[column]))
            if np.ptp(pitches) <= PITCH and abs(_decay(beeps, int(tones[column]))) <= STEADY:
                weakest = min(float(beep[:, tones[column]].mean()) for beep in beeps)
                at = now - (len(level) - last) * STEP
                group = _Group(at, float(pitches.mean()), weakest, float(contrast[end, speed, column]))
                self._enter(group, level[: last + self._around[speed, LEADING - 1, 1], tones[column]])

    def _contrast(self, level: Samples, rise: Samples, ends: NDArray[np.intp]) -> NDArray[np.float64]:
        """Decibels between beeps and silence where a group fits, else 0: float64[ends, speeds, tones]."""
        total = _running(level)
        beeps, gaps, around = (_means(total, ends, spans) for spans in (self._beeps, self._gaps, self._around))
        weakest = beeps.min(axis=2)
        dip = (np.minimum(beeps[:, :, :-1], beeps[:, :, 1:]) - gaps).min(axis=2)
        quiet = weakest - around.max(axis=2)
        fits = (beeps.max(axis=2) - weakest <= EVEN) & (dip >= DIP) & (quiet >= QUIET)
        fits &= _means(_running(rise), ends, self._beeps).min(axis=2) >= NARROW
        return np.where(fits, np.minimum(dip, quiet), 0.0)

    def _enter(self, group: _Group, before: Samples) -> None:
        """Note a group, in the place of a worse alignment of the same; confirm the alarm where it follows another.

        `before`: the levels of its pitch until its first beep, float32[frames].
        """
        period = self._cadence.period
        self._found = [old for old in self._found if group.at - old.at <= 1.12 * period + 0.1]
        near = [old for old in self._found if abs(old.pitch - group.pitch) <= PITCH]
        same = [old for old in near if _repeats(old, group)]
        if not self.score(group.at):
            self.first = group.at - TAIL - self._cadence.length
        self.last = max(self.last, group.at - TAIL)
        pause = before[-max(1, round(0.6 * (self._cadence.pause or 0.0) / STEP)) :]
        lonely = (pause >= group.level - 6).mean() <= BUSY
        earlier = [old.at for old in same if group.at - old.at >= 0.88 * period - 0.1]
        if self._cadence.pause is None or (lonely and earlier):
            if group.at - self._confirmed > LASTING * period:
                self.first = min(earlier, default=group.at) - TAIL - self._cadence.length
            self._confirmed = group.at
        twin = next((old for old in near if group.at - old.at < 0.5), None)
        if twin is None:
            self._found.append(group)
        elif group.contrast > twin.contrast:
            self._found[self._found.index(twin)] = group


def _repeats(old: _Group, new: _Group) -> bool:
    """Whether both groups can be the same alarm's."""
    return abs(old.pitch - new.pitch) <= REPEAT_PITCH and abs(old.level - new.level) <= REPEAT_LEVEL


def _pitches(beeps: Sequence[Samples], tone: int) -> NDArray[np.float64]:
    """The pitch of each beep float32[frames, bins] near bin `tone`, in bins: the parabola through three levels."""
    below, peak, above = np.array([beep[:, tone - 1 : tone + 2].mean(axis=0) for beep in beeps]).T
    bend = np.minimum(below - 2 * peak + above, -1e-6)
    return np.asarray(tone + np.clip(0.5 * (below - above) / bend, -1.0, 1.0), np.float64)


def _decay(beeps: Sequence[Samples], tone: int) -> float:
    """Decibels that the beeps float32[frames, bins] lose from their first to their second half, on average.

    0 for beeps that are too short to have halves.
    """
    if len(beeps[0]) < 2 * SETTLED:
        return 0.0
    halves = [(beep[: len(beep) // 2, tone].mean(), beep[len(beep) // 2 :, tone].mean()) for beep in beeps]
    return float(np.mean([first - second for first, second in halves]))


def _spans(cadence: Cadence) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Frames of the beeps, of the gaps, and of the quiet around them, by speed: intp[speeds, spans, 2]."""
    beeps, gaps, around = [], [], []
    for speed in SPEEDS:
        on, off = cadence.on * speed, cadence.off * speed
        starts = [beep * (on + off) for beep in range(cadence.beeps)]
        end = starts[-1] + on
        # edges are left out: a frame there holds both, and a room answers for a while
        beeps.append([(start + 0.3 * on, start + 0.95 * on) for start in starts])
        gaps.append([(start + on + 0.45 * off, start + on + 0.95 * off) for start in starts[:-1]])
        around.append(_slices(-LEAD, 0.0) + _slices(end + 0.3, end + TAIL))
        for spans in (beeps[-1], gaps[-1], around[-1]):
            spans[:] = [(first - end - TAIL, last - end - TAIL) for first, last in spans]
    return _in_frames(beeps), _in_frames(gaps), _in_frames(around)


def _slices(first: float, last: float) -> list[tuple[float, float]]:
    """The span in slices, seconds."""
    return [(at, at + SLICE) for at in np.arange(first, last - 0.5 * SLICE, SLICE)]


def _in_frames(spans: Sequence[Sequence[tuple[float, float]]]) -> NDArray[np.intp]:
    frames = np.round(np.array(spans) / STEP).astype(np.intp)
    frames[..., 1] = np.maximum(frames[..., 1], frames[..., 0] + 1)
    return frames


def _running(values: Samples) -> NDArray[np.float64]:
    """Sums of the first k rows of [n, tones], for k from 0 to n."""
    return np.concatenate((np.zeros((1, values.shape[1])), np.cumsum(values, axis=0, dtype=np.float64)))


def _means(running: NDArray[np.float64], ends: NDArray[np.intp], spans: NDArray[np.intp]) -> NDArray[np.float64]:
    """Means over `spans` before each of the `ends`: float64[ends, speeds, spans, tones]."""
    at = ends[:, None, None, None] + spans
    width = (spans[..., 1] - spans[..., 0])[None, :, :, None]
    return np.asarray((running[at[..., 1]] - running[at[..., 0]]) / width, np.float64)
