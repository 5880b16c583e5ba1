"""Opening a source without being held up by it: a network address may take many seconds to fail."""

import asyncio
import contextlib
import threading

from monitor.audio.capture import Capture, Opener
from monitor.errors import SourceError


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
    stop = asyncio.ensure_future(stopping.wait())
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
