"""From what a source delivers to the one signal that the model gets: channel, offset, rate, gain."""

import math

import numpy as np
from numpy.typing import NDArray

from monitor.audio.hearing import Hearing
from monitor.audio.resample import Resampler
from monitor.config.schema import Channel, Decibels
from monitor.messages import Samples

MEMORY = 0.5
"""Time constant of the channels' powers, seconds."""
SILENT = 1e-9
"""Power below which a channel is no evidence: -90 dBFS."""
CANCELLED, MIXED = 0.01, 0.04
"""Power of the mean of all channels, relative to that of a channel: below the first they cancel each other, above the
second they do not. Independent channels have 0.5."""
DEAD = 1e-5
"""Power of a channel, relative to the loudest, below which it is dead: -50 dB."""
LOUDER = 2.0
"""Power by which another channel must be louder to be taken instead."""

OFFSET_MEMORY = 2.0
"""Time constant of the constant offset, seconds."""
OFFSET_AFTER = 0.1
"""Seconds of sound before an offset is removed: half a period of a low tone is not an offset."""
OFFSET_SHARE = 0.1
"""Share of the power from which a constant offset is removed: below, it raises the level by less than 0.5 dB."""
OFFSET_STEP = 1e-5
"""Change of the offset that may be a step: -100 dBFS."""
OFFSET_LEAST = 1e-4
"""Smallest offset that is removed: 3 steps of 16 bits."""

FRAME = 0.05
"""Seconds per level of the automatic gain."""
ROOM = -60.0
"""Level to which the automatic gain raises the quiet of a room, dBFS."""
MOST_GAIN = 50.0
"""Decibels; the automatic gain only amplifies."""
HEADROOM = 3.0
"""Decibels that the automatic gain leaves above the loudest sample of late."""
NOTHING = -115.0
"""Levels below are digital silence, not a room, dBFS."""
FLOOR_RISE, FLOOR_FALL = 0.1, 20.0
"""Decibels per second by which the estimate of a room's quiet rises and falls: a long alarm is not quiet."""
PEAK_FALL = 1.0
"""Decibels per second by which the memory of the loudest sample fades."""
GAIN_RISE = 3.0
"""Decibels per second by which the automatic gain rises; slower than any sound begins."""


class Mixer:
    """Makes one channel of all; channels that cancel each other, or are dead, are left out of a mix."""

    def __init__(self, rate: int, channel: Channel = "mix") -> None:
        """`rate` in hertz."""
        self._rate, self._channel = rate, channel
        self._powers: NDArray[np.float64] | None = None
        self._mixed = 0.0
        self._only: int | None = None
        self.note = ""
        """What is wrong with the channels, for a person."""

    def push(self, block: Samples) -> Samples:
        """Convert float32[n, channels] to float32[n]. A number above the count takes the last channel."""
        count = block.shape[1]
        if isinstance(self._channel, int):
            return block[:, min(self._channel, count) - 1]
        if count == 1 or not len(block):
            return block[:, 0]
        if self._channel in ("left", "right"):
            return block[:, int(self._channel == "right")]
        channels = np.ascontiguousarray(block.T)  # NumPy adds along the long axis many times faster
        mono: Samples = np.add.reduce(channels, axis=0) * np.float32(1 / count)
        self._measure(channels, mono)
        if self._channel == "loudest":
            self._take_loudest()
        else:
            self._check_mix()
        return mono if self._only is None else channels[self._only]

    def _measure(self, channels: Samples, mono: Samples) -> None:
        """Follow the powers of float32[channels, n] and of their mean, without constant offsets."""
        size = len(mono)
        means = channels.mean(axis=1).astype(np.float64)
        powers = np.maximum(0.0, np.array([np.dot(each, each) for each in channels], np.float64) / size - means**2)
        mixed = max(0.0, float(np.dot(mono, mono)) / size - float(means.mean()) ** 2)
        if not np.isfinite(mixed) or not np.isfinite(powers).all():
            return
        if self._powers is None or len(self._powers) != len(powers):
            self._powers, self._mixed, self._only = powers, mixed, None
        share = 1 - math.exp(-size / (MEMORY * self._rate))
        self._powers = self._powers + share * (powers - self._powers)
        self._mixed += share * (mixed - self._mixed)

    def _take_loudest(self) -> None:
        if self._powers is None:
            return
        loudest = int(self._powers.argmax())
        if self._only is None or self._powers[loudest] > LOUDER * self._powers[self._only]:
            self._only = loudest

    def _check_mix(self) -> None:
        if self._powers is None or (top := float(self._powers.max())) < SILENT:
            return
        ratio = self._mixed / float(self._powers.mean())
        dead = self._powers < DEAD * top
        if dead.any():
            names = ", ".join(str(number + 1) for number in np.flatnonzero(dead))
            self._only, note = int(self._powers.argmax()), f"channel {names} is dead"
        elif ratio < CANCELLED or (self._only is not None and ratio < MIXED):
            if self._only is None or self._powers[self._only] * LOUDER < top:
                self._only = int(self._powers.argmax())
            note = "the channels cancel each other (opposite phase)"
        else:
            self._only, note = None, ""
        self.note = f"{note}; using channel {self._only + 1}" if self._only is not None else ""


class OffsetRemover:
    """Removes a constant offset (DC), as cheap converters add it, once it is large enough to matter."""

    def __init__(self, rate: int) -> None:
        """`rate` in hertz."""
        self._rate = rate
        self._seen = 0
        self._power = 0.0
        self._removing = False
        self.offset = 0.0
        """The estimate, in [-1, 1]."""

    @property
    def settled(self) -> bool:
        """Whether there was enough sound to see an offset."""
        return self._seen >= OFFSET_AFTER * self._rate

    def push(self, samples: Samples) -> Samples:
        """Return float32[n] without the offset."""
        size = len(samples)
        if not size:
            return samples
        mean, power = float(samples.mean()), float(np.dot(samples, samples)) / size
        self._seen += size
        share = max(size / self._seen, 1 - math.exp(-size / (OFFSET_MEMORY * self._rate)))
        before = self.offset if self._seen > size else mean
        self.offset += share * (mean - self.offset)
        self._power += share * (power - self._power)
        if not self._removing and self.settled:
            self._removing = abs(self.offset) > OFFSET_LEAST and self.offset**2 > OFFSET_SHARE * self._power
            before = self.offset
        if not self._removing:
            return samples
        if abs(self.offset - before) < OFFSET_STEP:
            return samples - np.float32(self.offset)
        return samples - np.linspace(before, self.offset, size, dtype=np.float32)


class Gain:
    """Amplifies by a number of decibels, or by itself: slowly, and between 0 and `MOST_GAIN`.

    The automatic gain raises the quiet of a room, the lowest level of late, to `ROOM`, as far as the loudest sample of
    late leaves headroom. It knows nothing of sounds, which keep their dynamics.
    """

    def __init__(self, rate: int, gain: Decibels = 0.0) -> None:
        """`rate` in hertz, `gain` in decibels."""
        self.auto = gain == "auto"
        self.decibels = 0.0 if isinstance(gain, str) else gain
        """The gain now."""
        self._rate = rate
        self._floor: float | None = None
        self._peak = NOTHING

    def push(self, samples: Samples, learn: bool = True) -> Samples:
        """Amplify float32[n]; without `learn` they do not change the automatic gain."""
        if self.auto and learn and len(samples):
            return self._follow(samples)
        return samples if self.decibels == 0 else samples * np.float32(10 ** (self.decibels / 20))

    def _follow(self, samples: Samples) -> Samples:
        seconds = len(samples) / self._rate
        first = self._floor is None
        quiet = self._quiet(samples)
        if quiet > NOTHING:
            floor = self._floor if self._floor is not None else quiet
            self._floor = max(quiet, floor - FLOOR_FALL * seconds) if quiet < floor else floor + FLOOR_RISE * seconds
        highest = max(float(samples.max()), -float(samples.min()), 1e-9)
        self._peak = max(20 * math.log10(highest), self._peak - PEAK_FALL * seconds)
        if self._floor is None:
            return samples
        wanted = min(max(0.0, ROOM - self._floor), max(0.0, -HEADROOM - self._peak), MOST_GAIN)
        before = wanted if first else self.decibels
        self.decibels = min(wanted, before + GAIN_RISE * seconds)
        if before == self.decibels:
            return samples * np.float32(10 ** (before / 20)) if before else samples
        ends = 10 ** (before / 20), 10 ** (self.decibels / 20)
        return samples * np.linspace(*ends, len(samples), dtype=np.float32)

    def _quiet(self, samples: Samples) -> float:
        """Return the level of the quietest frame, dBFS."""
        frame = min(len(samples), round(FRAME * self._rate))
        whole = samples[: len(samples) // frame * frame].reshape(-1, frame)
        power = float(np.einsum("ij,ij->i", whole, whole).min()) / frame
        return 10 * math.log10(power) if power > 1e-12 else -120.0


class Signal:
    """Turns blocks of a source into the model's one channel and rate, without seams."""

    def __init__(
        self,
        rate_in: int,
        rate_out: int,
        channel: Channel = "mix",
        gain: Gain | None = None,
        hearing: Hearing | None = None,
    ) -> None:
        """Rates in hertz. `gain` and `hearing` may outlive the signal, to keep what they have learned."""
        self._rates = rate_in, rate_out
        self._hearing = hearing
        self._mixer = Mixer(rate_in, channel)
        self._offset = OffsetRemover(rate_in)
        self._gain = gain or Gain(rate_out)
        self._resampler = Resampler(rate_in, rate_out)

    @property
    def note(self) -> str:
        """What is wrong with the channels, for a person; empty if nothing is."""
        return self._mixer.note

    def push(self, block: Samples) -> Samples:
        """Convert float32[n, channels] to float32[m] in [-1, 1]; the resampler's delay follows with later blocks."""
        learn = self._offset.settled  # an offset that is not removed yet is not sound
        mono = self._mixer.push(block)
        if len(mono) and not math.isfinite(float(mono.max()) - float(mono.min())):
            mono = np.nan_to_num(mono, posinf=1.0, neginf=-1.0)
        out = self._finish(self._offset.push(mono), learn=learn)
        if self._hearing is not None:
            self._hearing.push(mono, self._rates[0])
            self._hearing.look(out, self._rates[1])
        return out

    def flush(self) -> Samples:
        """Return what the resampler holds back, float32[m]; nothing can follow."""
        return self._finish(np.zeros(0, np.float32), last=True)

    def restart(self) -> None:
        """Forget what the resampler holds back, before audio that does not continue."""
        self._resampler = Resampler(*self._rates)

    def _finish(self, samples: Samples, *, learn: bool = False, last: bool = False) -> Samples:
        converted = self._resampler.push(samples[:, None], last=last)
        if not self._gain.auto and self._gain.decibels == 0:
            return converted
        out: Samples = np.clip(self._gain.push(converted, learn), -1.0, 1.0)
        return out
