"""What every input looks like once it is open: a thread that fills a ring until it ends, is lost, or is closed."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Protocol

from monitor.audio.ring import SampleRing
from monitor.errors import SourceError


class Capture(Protocol):
    """An open input. Its own thread (PortAudio's, or one of ours) writes `ring`."""

    @property
    def ring(self) -> SampleRing:
        """Frames as they come: the device's own rate and channels, float32 in [-1, 1]."""

    @property
    def rate(self) -> int:
        """Hertz."""

    @property
    def device(self) -> str:
        """What is open, in words for a person."""

    @property
    def live(self) -> bool:
        """True where sound passes whether we listen or not (a microphone, a stream, a file played in real time):
        a slow reader loses the oldest. False where the writer waits until `consumed` makes room (a pipe)."""

    @property
    def finished(self) -> bool:
        """The writer has stopped: all that it will ever write is in the ring."""

    @property
    def failure(self) -> Exception | None:
        """Why it stopped; None while it runs and at a regular end."""

    def consumed(self, frames: int) -> None:
        """The reader is done with all frames below this absolute index."""

    def close(self) -> None:
        """Stop and free the device. Returns promptly even when the device hangs; may be called twice."""


Opener = Callable[[], Capture]
"""Opens the input; blocks until it runs. Raises `SourceError`."""


async def open_capture(opener: Opener, stopping: asyncio.Event) -> Capture | None:
    """Open in a thread of its own; None when `stopping` comes first, and then what opens late is closed at once.

    Raises `SourceError`. The thread is a daemon, so that a hanging driver cannot hold up the program's end.
    """
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[Capture] = loop.create_future()
    abandoned = threading.Event()

    def settle(capture: Capture | None, error: BaseException | None) -> None:
        if opened.cancelled():
            return
        if capture is not None:
            opened.set_result(capture)
        else:
            opened.set_exception(error or SourceError("the source did not open"))

    def work() -> None:
        capture, error = None, None
        try:
            capture = opener()
        except SourceError as caught:
            error = caught
        except Exception as caught:  # a driver's surprise must not take the other sources down
            error = SourceError(f"{type(caught).__name__}: {caught}")
        if capture is not None and abandoned.is_set():
            capture.close()
            return
        with contextlib.suppress(RuntimeError):  # the loop may be gone by now
            loop.call_soon_threadsafe(settle, capture, error)

    threading.Thread(target=work, name="open", daemon=True).start()
    stop = asyncio.create_task(stopping.wait(), name="stop while opening")
    try:
        await asyncio.wait((opened, stop), return_when=asyncio.FIRST_COMPLETED)
        if opened.done():
            return opened.result()
        return None
    finally:
        stop.cancel()
        if not opened.done():
            abandoned.set()
            opened.cancel()
