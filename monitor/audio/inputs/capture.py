"""An open input: a thread or process that fills a ring until it ends, is lost, or is closed."""

import asyncio
import threading
from collections.abc import Callable
from typing import Protocol

from monitor.audio.ring import SampleRing
from monitor.errors import SourceError


class Capture(Protocol):
    """An open input. Another process (of a `Microphone`) or thread (of a `Feeder`) writes `ring`."""

    @property
    def ring(self) -> SampleRing:
        """Frames as they arrive: the device's own rate and channels, float32 in [-1, 1]."""

    @property
    def rate(self) -> int:
        """Hertz."""

    @property
    def device(self) -> str:
        """Name of the open device, file or stream, for a person; a sound server may change the device."""

    @property
    def live(self) -> bool:
        """Whether the audio arrives in real time (a microphone, a stream, a file played at its own pace).

        A slow reader of a live capture loses the oldest audio. Another writer (a pipe) waits until `consumed` makes
        room.
        """

    @property
    def current(self) -> bool:
        """Whether the ring has all audio that has arrived: the writer does not wait for room, or for its time."""

    @property
    def finished(self) -> bool:
        """The writer has stopped: the ring receives nothing more."""

    @property
    def failure(self) -> Exception | None:
        """Why the writer stopped; None while it runs and at a regular end."""

    def consumed(self, frames: int) -> None:
        """Release all frames below this absolute index: the reader has read them."""

    def close(self) -> None:
        """Stop and free the device. Returns promptly even when the device hangs; a second call does nothing."""


Opener = Callable[[], Capture]
"""Opens an input; blocks until it runs. Raises `SourceError`."""


async def open_capture(opener: Opener, stopping: asyncio.Event) -> Capture | None:
    """Open in a thread: a network address may take many seconds to fail.

    Returns None when `stopping` is set first; a capture that opens after that is closed at once. Raises `SourceError`.
    The thread is a daemon: a driver that hangs cannot delay the exit of the program.
    """
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[Capture] = loop.create_future()

    def settle(capture: Capture | None, error: SourceError) -> None:
        if not opened.cancelled():
            if capture is not None:
                opened.set_result(capture)
            else:
                opened.set_exception(error)
        elif capture is not None:
            threading.Thread(target=capture.close, name="close", daemon=True).start()

    def work() -> None:
        capture, error = None, SourceError("the source did not open")
        try:
            capture = opener()
        except SourceError as caught:
            error = caught
        except Exception as caught:  # an unexpected driver error must not stop other sources
            error = SourceError(f"{type(caught).__name__}: {caught}")
        try:
            loop.call_soon_threadsafe(settle, capture, error)
        except RuntimeError:  # the loop is closed
            if capture is not None:
                capture.close()

    threading.Thread(target=work, name="open", daemon=True).start()
    stop = asyncio.create_task(stopping.wait(), name="stop opening")
    try:
        await asyncio.wait((opened, stop), return_when=asyncio.FIRST_COMPLETED)
        return opened.result() if opened.done() else None
    finally:
        stop.cancel()
        opened.cancel()
