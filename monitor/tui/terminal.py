"""Runs the display on the user's terminal, and restores the terminal afterwards."""

import asyncio
import contextlib
import io
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from monitor.errors import UsageError
from monitor.messages import Feed
from monitor.stdio import stderr_aside
from monitor.tui.app import MonitorApp, Output


async def run(feed: Feed, log_file: Path | None = None) -> None:
    """Show the feed until it ends or the user quits, in the caller's event loop and its main thread.

    Meanwhile stderr, also of C libraries, goes to `log_file`; without one, its end is shown afterwards. A stderr that
    is not a terminal stays unchanged. stdin may be a pipe: keys come from the terminal itself. A terminal that
    disconnects counts as quitting. Raises the exception of the feed, `UsageError` without a terminal, and
    `StorageError` if the log cannot be written.
    """
    task = asyncio.current_task()
    with ExitStack() as stack:
        screen = stack.enter_context(_terminal())
        stack.enter_context(stderr_aside(log_file))
        app = MonitorApp(feed, screen.state)
        await app.run_async()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError  # Textual treats it as a request to quit
    if app.failure is not None:
        raise app.failure
    if app.return_code:
        raise RuntimeError("the display failed; its traceback is in the log")


class Screen(io.TextIOWrapper):
    """The terminal's output. Textual writes to it from a thread that must survive a disconnected terminal."""

    def write(self, text: str) -> int:
        """Write text; a disconnected terminal is no error."""
        with contextlib.suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Flush; a disconnected terminal is no error."""
        with contextlib.suppress(OSError):
            super().flush()

    def close(self) -> None:
        """Close; a disconnected terminal is no error."""
        with contextlib.suppress(OSError):
            super().close()

    def state(self) -> Output:
        """Return whether the terminal accepts output now; never blocks."""
        poll = select.poll()
        poll.register(self, select.POLLOUT)
        events = dict(poll.poll(0)).get(self.fileno(), 0)
        if events & (select.POLLHUP | select.POLLERR):
            return Output.GONE
        return Output.READY if events else Output.STALLED


@contextmanager
def _terminal() -> Iterator[Screen]:
    """Give the terminal to Textual, which reads it from `sys`; restore it and Textual's signal handlers at the end."""
    with ExitStack() as stack:
        try:
            keys = stack.enter_context(Path("/dev/tty").open(encoding="utf-8"))
            output = io.BufferedWriter(io.FileIO("/dev/tty", "w"))
            screen = stack.enter_context(Screen(output, encoding="utf-8", errors="replace"))
        except OSError as error:
            raise UsageError("the display requires a terminal, and none is available: run without it") from error
        for name, stream in (("__stdin__", keys), ("__stdout__", screen), ("__stderr__", screen)):
            stack.callback(setattr, sys, name, getattr(sys, name))
            setattr(sys, name, stream)
        for number in (signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH):
            stack.callback(signal.signal, number, signal.getsignal(number))
        yield screen
