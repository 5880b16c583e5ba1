"""Windows on the hop grid: whole, never shifted, all counted."""

from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.audio.windows import Grid, Windower
from monitor.messages import Samples, Window

RATE = 100
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
grids = st.builds(Grid, rate=st.just(RATE), window=st.integers(1, 40), hop=st.integers(1, 60))


def utc(seconds: float) -> datetime:
    """Return the time this many seconds after the begin."""
    return BEGIN + timedelta(seconds=seconds)


def ramp(start: int, count: int) -> Samples:
    """Return samples whose values are their indexes."""
    return np.arange(start, start + count, dtype=np.float32)


def check(window: Window, grid: Grid) -> None:
    """Assert that a window is on the grid, whole, read-only, and has the time of its first sample."""
    assert window.start % grid.hop == 0
    assert window.end - window.start == grid.window
    assert np.array_equal(window.samples, ramp(window.start, grid.window))
    assert not window.samples.flags.writeable
    assert window.at == utc(window.start / RATE)


@given(
    grid=grids,
    backlog=st.none() | st.integers(1, 5),
    steps=st.lists(st.integers(0, 50) | st.integers(-50, -1) | st.none(), max_size=60),
)
def test_the_books_balance_at_every_step(grid: Grid, backlog: int | None, steps: list[int | None]) -> None:
    """After any push, loss (negative) or take (None), emitted + dropped + pending == possible, which follows from the
    length alone; windows that are taken hold no gap."""
    windower = Windower("s", 3, grid, utc, backlog)
    starts: list[int] = []
    dropped = 0
    for step in steps:
        if step is None:
            window = windower.take()
            if window is not None:
                check(window, grid)
                assert (window.source, window.epoch, window.rate) == ("s", 3, RATE)
                starts.append(window.start)
        elif step < 0:
            windower.skip(-step)
        else:
            windower.push(ramp(windower.length, step))
        length = windower.length
        assert windower.possible == (0 if length < grid.window else (length - grid.window) // grid.hop + 1)
        assert windower.emitted + windower.dropped + windower.pending == windower.possible
        assert windower.pending >= 0
        if backlog is not None:
            assert windower.pending <= backlog
        elif min(step or 0 for step in steps) >= 0:
            assert windower.dropped == 0
        assert windower.dropped >= dropped
        dropped = windower.dropped
        assert windower.missing == 0 if windower.pending else windower.missing > 0
    assert starts == sorted(set(starts))
    if backlog is None and min((step or 0 for step in steps), default=0) >= 0:
        assert starts == [k * grid.hop for k in range(len(starts))]


@given(grid=grids, blocks=st.lists(st.integers(0, 50), max_size=20))
def test_finish_covers_every_sample_once(grid: Grid, blocks: list[int]) -> None:
    """After `finish` the windows reach the last sample, and only silence follows it."""
    windower = Windower("s", 0, grid, utc)
    for block in blocks:
        windower.push(ramp(windower.length, block) + 1)
    length = windower.length
    windower.finish()
    windows = []
    while (window := windower.take()) is not None:
        windows.append(window)
    assert windower.emitted == windower.possible
    assert windower.length == length
    covered = max((window.end for window in windows), default=0)
    assert covered >= length if grid.hop <= grid.window or not length else True
    for window in windows:
        heard = max(0, min(grid.window, length - window.start))
        assert np.array_equal(window.samples[:heard], ramp(window.start, heard) + 1)
        assert not window.samples[heard:].any()
    assert sum(window.end > length for window in windows) <= 1


def test_a_reader_that_is_late_gets_the_newest_window() -> None:
    """With a backlog of 2, only the newest of ten pending windows remains, and nine count as dropped."""
    grid = Grid(RATE, 10, 5)
    windower = Windower("s", 0, grid, utc, backlog=2)
    windower.push(ramp(0, 10 + 9 * 5))
    assert windower.dropped == 9
    window = windower.take()
    assert window is not None
    assert window.start == 45
    check(window, grid)


def test_windows_that_need_lost_samples_are_dropped() -> None:
    """The next window begins after the gap; those before and across it count as dropped once they were due."""
    grid = Grid(RATE, 10, 5)
    windower = Windower("s", 0, grid, utc)
    windower.push(ramp(0, 12))
    windower.skip(9)
    assert (windower.possible, windower.dropped, windower.pending) == (3, 3, 0)
    windower.push(ramp(21, 15))
    window = windower.take()
    assert window is not None
    assert window.start == 25
    check(window, grid)
    assert (windower.possible, windower.emitted, windower.dropped, windower.pending) == (6, 1, 5, 0)


def test_memory_stays_bounded() -> None:
    """Samples are released once taken, even if the hop is longer than the window."""
    for grid in (Grid(RATE, 10, 5), Grid(RATE, 10, 30)):
        windower = Windower("s", 0, grid, utc)
        for _ in range(100):
            windower.push(ramp(windower.length, 37))
            while windower.take() is not None:
                pass
        assert len(windower._samples) < 50
