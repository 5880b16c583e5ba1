"""What time a sample was heard, although samples come late and in blocks, and no crystal runs true.

`time of stream second s = offset + s`. Every look at the stream shows some seconds delivered by now: `now - seconds`
is the offset plus a delay that is never negative, so the smallest is the best. The minimum leaks upwards slowly, to
follow a device whose clock runs slow; a device that runs fast pulls it down by itself.
"""

import time
from datetime import UTC, datetime, timedelta

DRIFT = 5e-4
"""Seconds a second: more than any sound card's clock is off (about 100 ppm), less than anyone notices in a duration."""


class Clock:
    """Maps seconds within one epoch to UTC."""

    def __init__(self, live: bool = True) -> None:
        """A `live` stream cannot run ahead of real time, so its offset may fall at once; a pipe can be fed faster
        than real time, and its offset moves no faster than `DRIFT` either way."""
        self._live = live
        self._offset: float | None = None
        self._seen = 0.0

    def observe(self, seconds: float, now: float) -> None:
        """At monotonic time `now`, this many seconds of the epoch have been delivered."""
        offset = now - seconds
        if self._offset is None:
            self._offset = offset
        else:
            slew = DRIFT * max(0.0, now - self._seen)
            lowest = -float("inf") if self._live else self._offset - slew
            self._offset = max(min(offset, self._offset + slew), lowest)
        self._seen = now

    def monotonic(self, seconds: float) -> float:
        """The monotonic time at which this second of the epoch was heard."""
        return seconds + (self._offset if self._offset is not None else time.monotonic())

    def utc(self, seconds: float) -> datetime:
        """The same in UTC, by the wall clock as it is set now."""
        return datetime.now(UTC) + timedelta(seconds=self.monotonic(seconds) - time.monotonic())
