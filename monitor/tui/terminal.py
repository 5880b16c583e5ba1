"""Runs the display on the user's terminal, and leaves the terminal as it was."""

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

    What this process and its C libraries say on stderr meanwhile goes to `log_file`; without one, the end of it is
    shown afterwards. A stderr that is not a terminal is left alone. stdin may be a pipe: keys come from the
    terminal itself. A terminal that goes away counts as quitting. Raises what the feed raises, `UsageError` where
    there is no terminal, and `StorageError` where the log cannot be written.
    """
    task = asyncio.current_task()
    with ExitStack() as stack:
        screen = stack.enter_context(_terminal())
        stack.enter_context(stderr_aside(log_file))
        app = MonitorApp(feed, screen.state)
        await app.run_async()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError  # Textual takes it for a request to quit
    if app.failure is not None:
        raise app.failure
    if app.return_code:
        raise RuntimeError("the display failed; its traceback stands in the log")


class Screen(io.TextIOWrapper):
    """The terminal's output. Textual writes to it from a thread that must not die when the terminal goes away."""

    def write(self, text: str) -> int:
        """Write what can be written."""
        with contextlib.suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Hand on what can be handed on."""
        with contextlib.suppress(OSError):
            super().flush()

    def close(self) -> None:
        """Never fails, like the rest."""
        with contextlib.suppress(OSError):
            super().close()

    def state(self) -> Output:
        """Whether the terminal takes output now; never blocks."""
        poll = select.poll()
        poll.register(self, select.POLLOUT)
        events = dict(poll.poll(0)).get(self.fileno(), 0)
        if events & (select.POLLHUP | select.POLLERR):
            return Output.GONE
        return Output.READY if events else Output.STALLED


@contextmanager
def _terminal() -> Iterator[Screen]:
    """Hand the terminal to Textual, which looks for it in `sys`; undo also the signal handlers that it sets."""
    with ExitStack() as stack:
        try:
            keys = stack.enter_context(Path("/dev/tty").open(encoding="utf-8"))
            output = io.BufferedWriter(io.FileIO("/dev/tty", "w"))
            screen = stack.enter_context(Screen(output, encoding="utf-8", errors="replace"))
        except OSError as error:
            raise UsageError("the display needs a terminal, and there is none here; run without it") from error
        for name, stream in (("__stdin__", keys), ("__stdout__", screen), ("__stderr__", screen)):
            stack.callback(setattr, sys, name, getattr(sys, name))
            setattr(sys, name, stream)
        for number in (signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH):
            stack.callback(signal.signal, number, signal.getsignal(number))
        yield screen
