"""Opening in a thread."""

import asyncio
import threading

import pytest

from monitor.audio.inputs.capture import Capture, open_capture
from monitor.errors import SourceError
from tests.parts.fake_capture import FakeCapture


async def test_an_opened_capture_is_returned() -> None:
    """The opener runs in a thread of its own, and its capture stays open."""
    threads: list[threading.Thread] = []
    capture = FakeCapture()

    def opener() -> Capture:
        threads.append(threading.current_thread())
        return capture

    assert await open_capture(opener, asyncio.Event()) is capture
    assert threads != [threading.current_thread()]
    assert not capture.closed


async def test_a_capture_that_opens_after_the_stop_is_closed() -> None:
    """The caller gets None at once, and the capture that opens later does not keep its device."""
    release, stopping, closed = threading.Event(), asyncio.Event(), threading.Event()

    class Late(FakeCapture):
        def close(self) -> None:
            closed.set()

    def opener() -> Capture:
        release.wait(10)
        return Late()

    stopping.set()
    assert await open_capture(opener, stopping) is None
    release.set()
    assert await asyncio.to_thread(closed.wait, 10)


async def test_opening_raises_what_the_opener_raises() -> None:
    """An error in the thread is raised in the task."""

    def opener() -> Capture:
        raise SourceError("busy")

    with pytest.raises(SourceError, match="busy"):
        await open_capture(opener, asyncio.Event())


async def test_an_unexpected_driver_error_is_a_source_error() -> None:
    """Any exception of an opener becomes a `SourceError`, which fails its source alone."""

    def opener() -> Capture:
        raise ZeroDivisionError("in the driver")

    with pytest.raises(SourceError, match="ZeroDivisionError: in the driver"):
        await open_capture(opener, asyncio.Event())
