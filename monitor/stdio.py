"""Standard output and error: lines that never block their writer, and descriptor 2, on which C libraries print."""

import contextlib
import logging
import os
import queue
import select
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from monitor.errors import StorageError

log = logging.getLogger(__name__)

SHOWN_AFTERWARDS = 8192
"""Most bytes of the collected stderr that `stderr_aside` shows at the end."""


class LineOutlet:
    """Writes lines from a thread; when the reader stalls or the disk is full, lines are dropped and counted."""

    def __init__(self, descriptor: int, capacity: int = 10_000, on_broken: Callable[[], object] | None = None) -> None:
        """`on_broken` is called, in the thread, when the reader has closed its end."""
        self.dropped = 0
        """Lines that were not written; a full queue drops its oldest line."""
        self.broken = False
        """The reader has closed its end."""
        self._descriptor, self._on_broken = descriptor, on_broken
        self._lines: queue.Queue[str] = queue.Queue(capacity)
        self._thread = threading.Thread(target=self._work, name="outlet", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Queue one line, given without a line end; never blocks."""
        while True:
            try:
                return self._lines.put_nowait(line)
            except queue.Full:
                with contextlib.suppress(queue.Empty):
                    self._lines.get_nowait()
                    self._lines.task_done()
                    self.dropped += 1

    def flush(self, seconds: float) -> int:
        """Wait until everything is written, at most this many seconds; return the number of lines that were not."""
        end = time.monotonic() + seconds
        while self._lines.unfinished_tasks and self._thread.is_alive() and time.monotonic() < end:
            time.sleep(0.005)
        return self.dropped + self._lines.unfinished_tasks

    def _work(self) -> None:
        while True:
            line = self._lines.get()
            try:
                self._put(f"{line}\n".encode(errors="replace"))
            except BrokenPipeError:
                self.broken = True
                if self._on_broken is not None:
                    self._on_broken()
                return
            except OSError:
                self.dropped += 1
            self._lines.task_done()

    def _put(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:  # the parent process made the descriptor non-blocking
                select.select((), (self._descriptor,), ())


class OutletHandler(logging.Handler):
    """Writes log records to a `LineOutlet`: a stalled terminal or journal must not stop the monitor."""

    def __init__(self, outlet: LineOutlet) -> None:
        super().__init__()
        self._outlet = outlet

    def emit(self, record: logging.LogRecord) -> None:
        """Format and queue one record; report one that cannot be formatted on stderr, as other handlers do."""
        try:
            self._outlet.write(self.format(record))
        except Exception:
            self.handleError(record)


@contextlib.contextmanager
def stderr_aside(log_file: Path | None) -> Iterator[None]:
    """Send what is printed on descriptor 2 to `log_file`; without one, show the end of it afterwards.

    C libraries print there at any time, which would spoil the display. A descriptor that is not a terminal stays as it
    is. Raises `StorageError`.
    """
    with _open_log(log_file) as collected:
        terminal = os.dup(2)
        if os.isatty(terminal):
            os.dup2(collected.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            if log_file is None:
                collected.seek(max(0, collected.seek(0, os.SEEK_END) - SHOWN_AFTERWARDS))
                os.write(2, collected.read())


def _open_log(log_file: Path | None) -> IO[bytes]:
    if log_file is None:
        return tempfile.TemporaryFile()
    try:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        return log_file.open("w+b")
    except OSError as error:
        raise StorageError(f"cannot write the log {log_file}: {error.strerror}; make its folder writable") from error
