"""How long the wall clock has been plausible, by clocks that the tests set."""

import pytest

from monitor.events.clock import ABSENT, JUMP, PLAUSIBLE
from tests.events.test_log import Times

START = 1.8e9


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 800 * 86_400.0, -800 * 86_400.0, 2 * JUMP])
def test_a_jump_is_seen_once_and_costs_all_trust(jump: float) -> None:
    """The look after a jump returns its size, the next one 0; trust is back after a day."""
    times = Times(START)
    clock = times.clock()
    looks = []
    for passed, moved in ((PLAUSIBLE, 0.0), (2.0, jump), (PLAUSIBLE - 1.0, 0.0), (1.0, 0.0)):
        times.passes(passed)
        times.wall += moved
        looks.append((round(clock.look()), clock.trusted))
    assert looks == [(0, True), (jump, False), (0, False), (0, True)]


def test_a_clock_that_is_slewed_is_trusted() -> None:
    """NTP corrects an hour's error of a cheap board at 500 ppm, over months."""
    times = Times(START)
    clock = times.clock()
    for _ in range(int(PLAUSIBLE / 60) + 1):
        times.passes(60)
        times.wall += 60 * 5e-4
        assert clock.look() == 0.0
    assert clock.trusted


@pytest.mark.parametrize(
    ("gap", "kept"), [(0.0, True), (3600.0, True), (ABSENT, True), (ABSENT + 1, False), (-1.0, False)]
)
def test_trust_lasts_over_a_short_absence(gap: float, kept: bool) -> None:
    """A run that starts soon after the last one continues; in the past or long after, the clock begins again."""
    clock = Times(START).clock()
    assert clock.resume(START - gap, PLAUSIBLE) == 0.0
    assert clock.trusted == kept


def test_a_clock_behind_the_last_run_was_set_back() -> None:
    """The size of the jump is what is missing since then, at least."""
    clock = Times(START).clock()
    assert clock.resume(START + 3600.0, PLAUSIBLE) == -3600.0
    assert not clock.trusted
