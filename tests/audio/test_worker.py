"""The thread for calls that may hang."""

import threading

import pytest

from monitor.audio.worker import Worker


def test_a_job_returns_or_raises_to_its_caller() -> None:
    """Results and errors come back, and an error does not end the thread."""
    worker = Worker("test")
    with pytest.raises(ZeroDivisionError):
        worker.call(lambda: 1 / 0, 10)
    assert worker.call(threading.current_thread, 10).name == "test"


def test_a_hanging_job_is_left_behind_and_undone_when_it_ends() -> None:
    """Its caller gets a timeout; what waits behind it is not done late; what it did is undone."""
    worker = Worker("test")
    answered, undone, late = threading.Event(), threading.Event(), threading.Event()
    with pytest.raises(TimeoutError):
        worker.call(answered.wait, 0.05, abandoned=undone.set)
    with pytest.raises(TimeoutError):
        worker.call(late.set, 0.05)
    assert not undone.is_set()
    answered.set()
    assert undone.wait(10)
    worker.call(lambda: None, 10)
    assert not late.is_set()
