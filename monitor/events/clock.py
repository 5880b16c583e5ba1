"""Whether the wall clock can be believed: it jumps when it is set, and a board without a battery starts anywhere."""

import time
from collections.abc import Callable

JUMP = 2.0
"""Seconds that the wall clock may move against the steady one between two looks; NTP slews it by far less."""
PLAUSIBLE = 86_400.0
"""Seconds without a jump after which the clock is trusted."""
ABSENT = 7 * 86_400.0
"""Longest time between two runs, in seconds, over which the clock stays trusted."""


def _steady() -> float:
    """Seconds since boot, which no one can set; they pass during a suspend as well."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class WallClock:
    """Compares the wall clock with the steady one. One thread calls `look`, another one may call the rest."""

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = _steady) -> None:
        self._wall, self._steady = wall, steady
        self._offset = wall() - steady()
        self._looked_at = steady()
        self._before = self._in_this_run = 0.0

    @property
    def plausible(self) -> float:
        """Seconds for which the clock has not jumped, earlier runs included."""
        return self._before + self._in_this_run

    @property
    def now(self) -> float:
        """Seconds since 1970, right or wrong."""
        return self._wall()

    @property
    def trusted(self) -> bool:
        """Whether events may be deleted for their age by this clock."""
        return self.plausible >= PLAUSIBLE

    def resume(self, seen: float, plausible: float) -> float:
        """Take over how long the clock was plausible when an earlier run last saw it, at the time `seen`.

        The clock has to begin again if it says that this was in the future, or long ago. Return by how many seconds it
        was at least set back since then, as a negative number; 0.0 if it may have gone on.
        """
        passed = self._wall() - seen
        if 0.0 <= passed <= ABSENT:
            self._before = plausible
        return passed if passed < -JUMP else 0.0

    def look(self) -> float:
        """Return by how many seconds the clock has jumped since the last look, 0.0 if it has not."""
        steady, offset = self._steady(), self._wall() - self._steady()
        elapsed, self._looked_at = steady - self._looked_at, steady
        jump, self._offset = offset - self._offset, offset
        if abs(jump) <= JUMP:
            self._in_this_run += elapsed
            return 0.0
        self._before = self._in_this_run = 0.0
        return jump
