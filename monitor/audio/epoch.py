"""One uninterrupted piece of a source: from the capture's ring, resampled, to windows, with a clock of its own."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto

from monitor.audio.hearing import Hearing
from monitor.audio.inputs.capture import Capture
from monitor.audio.ring import Overrun
from monitor.audio.signal import Gain, Signal
from monitor.audio.windows import Grid, Windower
from monitor.config.schema import Channel
from monitor.messages import EpochEnd

BACKLOG = 0.75
"""A live source that is further behind than this many seconds skips to its newest window."""
RESAMPLING = 0.1
"""Seconds that the resampler may hold back."""
BEHIND = 0.25
"""Seconds by which samples may fall behind real time."""
SETTLE = 0.5
"""Seconds in which samples that come late may catch up; after that, those between are lost."""
DRIFT = 5e-4
"""Seconds per second: above the error of any sound card's clock (about 100 ppm), too small to notice in a duration."""


class Cause(Enum):
    """Kind of end."""

    FINISHED = auto()
    """The audio came to its regular end, or the monitor stops."""
    PAUSED = auto()
    """Listening is paused."""
    GAP = auto()
    """Some audio was lost before the newest samples, which begin another epoch."""
    LOST = auto()
    """The input failed or stalled."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Why an epoch, or the attempt to begin one, is over."""

    cause: Cause
    reason: str = ""
    """For a person; set when the source is lost."""


def nothing_for(capture: Capture, seconds: float) -> str:
    """Return the reason of a capture that has been silent for so long, for a person."""
    return f"{capture.device} has delivered nothing for {seconds:g} s"


class Clock:
    """Maps seconds within one epoch to UTC, although audio arrives late and in blocks and a device's clock drifts.

    `monotonic time of second s = offset + s`. Each observation gives `now - seconds`: the offset plus a delivery delay
    that is never negative, so the smallest one is the best. The minimum rises slowly, to follow a device that runs
    slow; a device that runs fast pulls it down by itself.
    """

    def __init__(self, live: bool = True) -> None:
        """A `live` stream cannot run ahead of real time, so its offset may fall at once. A pipe can deliver faster
        than real time, so its offset moves by at most `DRIFT` either way."""
        self._live = live
        self._offset: float | None = None
        self._seen = 0.0

    def observe(self, seconds: float, now: float) -> None:
        """Note that at monotonic time `now` this many seconds of the epoch have arrived."""
        offset = now - seconds
        if self._offset is None:
            self._offset = offset
        else:
            slew = DRIFT * max(0.0, now - self._seen)
            lowest = -float("inf") if self._live else self._offset - slew
            self._offset = max(min(offset, self._offset + slew), lowest)
        self._seen = now

    def behind(self, seconds: float, now: float) -> float:
        """Return by how much the arrival of this many seconds at monotonic time `now` is late, in seconds."""
        return now - seconds - self._offset if self._offset is not None else 0.0

    def monotonic(self, seconds: float) -> float:
        """Return the monotonic time of this second of the epoch."""
        return seconds + (self._offset if self._offset is not None else time.monotonic())

    def utc(self, seconds: float) -> datetime:
        """Return the UTC time of this second of the epoch, by the wall clock as it is set now."""
        return datetime.now(UTC) + timedelta(seconds=self.monotonic(seconds) - time.monotonic())


class Epoch:
    """Reads what a capture writes, and cuts it into windows."""

    def __init__(
        self,
        source: str,
        number: int,
        capture: Capture,
        begin: int,
        grid: Grid,
        channel: Channel = "mix",
        gain: Gain | None = None,
        hearing: Hearing | None = None,
    ) -> None:
        """Start at the capture's frame `begin`. `number` counts the epochs of the source."""
        self.capture = capture
        self.overruns = 0
        """Times that the reader was too late, and some audio was lost."""
        self.gap = 0.0
        """Seconds of audio that were lost after what has been read; then this epoch must end."""
        self.closed = False
        self._source, self._number, self._rate, self._grid = source, number, grid.rate, grid
        self._clock = Clock(live=capture.live)
        backlog = self._backlog = max(1, round(BACKLOG * grid.rate / grid.hop)) if capture.live else None
        self.windower = Windower(source, number, grid, self._clock.utc, backlog)
        self.signal = Signal(capture.rate, grid.rate, channel, gain, hearing)
        self._begin = self._read = begin
        self._lost = 0
        self._late: float | None = None  # since when samples are behind real time, monotonic
        self._overflows = capture.ring.overflows
        self._written, self._moved = 0, time.monotonic()

    @property
    def captured(self) -> float:
        """Seconds of audio read so far."""
        return (self._read - self._begin - self._lost) / self.capture.rate

    @property
    def read(self) -> int:
        """Frames of the capture that were read, or skipped."""
        return self._read

    @property
    def span(self) -> tuple[float, float]:
        """Monotonic times of the first and of the last sample."""
        return self._clock.monotonic(0.0), self._clock.monotonic((self._read - self._begin) / self.capture.rate)

    @property
    def overflows(self) -> int:
        """How often audio was lost on its way to the reader."""
        return self.capture.ring.overflows - self._overflows + self.overruns

    @property
    def ready(self) -> bool:
        """Whether the audio that has arrived holds a window that nobody has taken."""
        return self.windower.pending > 0 or self.due_in <= -RESAMPLING

    @property
    def due_in(self) -> float:
        """Seconds of audio that must still arrive before a window can be complete; negative if more has arrived."""
        return self.windower.missing / self._rate - self._unread / self.capture.rate

    @property
    def worth_reading(self) -> bool:
        """Whether a window may be complete, or the ring becomes full: fewer, larger reads cost less."""
        return self.due_in <= 0 or 2 * self._unread > self.capture.ring.capacity

    @property
    def _unread(self) -> int:
        return self.capture.ring.written - self._read

    def check(self, now: float, stall_timeout: float) -> Ended | None:
        """Return why the epoch is over, None while it continues.

        A live capture is lost when it delivers nothing for `stall_timeout` seconds, and the sounds of a pipe are over
        then; `now` is monotonic time.
        """
        capture = self.capture
        if self.gap:
            return Ended(Cause.GAP)
        if capture.failure is not None:
            return Ended(Cause.LOST, str(capture.failure))
        if capture.finished:
            if self._late is not None:
                self.gap = self._behind(now)
                return Ended(Cause.GAP)
            return Ended(Cause.FINISHED)
        written = capture.ring.written
        if written != self._written or not (capture.live or (capture.current and written == self._read)):
            self._written, self._moved = written, now
        elif now - self._moved > stall_timeout:
            if capture.live:
                return Ended(Cause.LOST, nothing_for(capture, stall_timeout))
            self.gap = stall_timeout
            return Ended(Cause.GAP)
        return None

    def drain(self) -> None:
        """Move what the capture has delivered from its ring into the windower.

        What a reader that was too late has lost is left out, and the windows that need it count as dropped. Samples
        that are behind real time stay in the ring for a moment; if they do not catch up, `gap` is set.
        """
        if self.gap or self._holds(time.monotonic()):
            return
        self._drain()

    def _holds(self, now: float) -> bool:
        """Whether the newest samples have to wait, because audio before them may be lost."""
        if self.capture.ring.written == self._read or not self.capture.current or self._behind(now) <= BEHIND:
            self._late = None
            return False
        if self._late is None:
            self._late = now
        if now - self._late >= SETTLE:
            self.gap = self._behind(now)
        return True

    def _behind(self, now: float) -> float:
        return self._clock.behind((self.capture.ring.written - self._begin) / self.capture.rate, now)

    def _drain(self) -> None:
        ring, rate = self.capture.ring, self.capture.rate
        written = ring.written
        if written == self._read:
            return
        self._clock.observe((written - self._begin) / rate, time.monotonic())
        if self._far_behind(written):
            self._skip(self._newest(written))
        while True:
            try:
                block = ring.read(self._read, written - self._read)
                break
            except Overrun:
                safe = ring.oldest + ring.capacity // 8  # the writer will not overwrite it soon
                self._lost += self._skip(min(written, max(self._newest(written), safe)))
                self.overruns += 1
        self._read = written
        self.capture.consumed(written)
        self.windower.push(self.signal.push(block))

    def close(self) -> None:
        """Read the rest, unless it comes after a gap, and complete the last window."""
        if not self.gap:
            self._drain()
        self.windower.push(self.signal.flush())
        self.windower.finish()
        self.closed = True

    def end(self) -> EpochEnd:
        """Return the message that follows the last window."""
        end = self.windower.length
        return EpochEnd(self._source, self._number, end, self._rate, self._clock.utc(end / self._rate))

    def _far_behind(self, written: int) -> bool:
        """Whether all but the newest window would be dropped anyway: to prepare them would only cost time."""
        if self._backlog is None or not self.capture.ring.oldest <= self._read < self._newest(written):
            return False
        unread = (written - self._read) * self._grid.rate // self.capture.rate
        return (unread - self.windower.missing) // self._grid.hop + 1 > self._backlog

    def _newest(self, written: int) -> int:
        """Return the first frame of the newest complete window."""
        grid, rate = self._grid, self.capture.rate
        length = (written - self._begin) * grid.rate // rate
        return self._begin + max(0, (length - grid.window) // grid.hop * grid.hop) * rate // grid.rate

    def _skip(self, frame: int) -> int:
        """Go on with this frame of the capture; return how many were left out."""
        self.windower.skip(round((frame - self._begin) * self._grid.rate / self.capture.rate) - self.windower.length)
        self.signal.restart()
        skipped, self._read = frame - self._read, frame
        return skipped
