"""Bounds on what a model may take."""

import resource
import threading

import numpy as np
import pytest

from monitor.classify import guard
from monitor.classify.guard import bounded_memory, bounded_time


def test_memory_is_bounded_only_within(monkeypatch: pytest.MonkeyPatch) -> None:
    """An allocation beyond the bound fails, one below it and one afterwards do not."""
    monkeypatch.setattr(guard, "MEMORY", 2**28)
    before = resource.getrlimit(resource.RLIMIT_AS)
    with bounded_memory():
        assert np.zeros(2**20, np.uint8).nbytes == 2**20
        with pytest.raises(MemoryError):
            np.zeros(2**29, np.uint8)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    assert np.zeros(2**29, np.uint8).nbytes == 2**29


def test_the_bound_is_lifted_after_a_failure() -> None:
    """Whatever went wrong."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(ValueError, match="wrong"), bounded_memory():
        raise ValueError("wrong")
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_what_takes_too_long_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """And it is said that it was for this."""
    monkeypatch.setattr(guard, "PATIENCE", 0.05)
    told = threading.Event()

    def run() -> None:
        assert told.wait(10)
        raise RuntimeError("terminated")

    with pytest.raises(TimeoutError, match=r"it takes longer than 0\.05 s"), bounded_time(told.set):
        run()


def test_what_fails_in_time_fails_as_it_is() -> None:
    """Nothing is broken off."""
    told = threading.Event()
    with pytest.raises(RuntimeError, match="of itself"), bounded_time(told.set):
        raise RuntimeError("of itself")
    assert not told.is_set()
