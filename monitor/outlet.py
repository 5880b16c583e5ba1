"""Lines to a file descriptor that may stall or go away, without ever holding up the one who writes them."""

import contextlib
import logging
import os
import queue
import select
import threading
import time
from collections.abc import Callable


class LineOutlet:
    """Writes lines from a thread of its own; when the reader stalls, or the disk is full, lines go and are counted."""

    def __init__(self, descriptor: int, capacity: int = 10_000, on_broken: Callable[[], object] | None = None) -> None:
        """`on_broken` is called, in the thread, when the reader has gone away."""
        self.dropped = 0
        """Lines that were not written; of those that wait, the oldest go first."""
        self.broken = False
        """The reader has gone away."""
        self._descriptor, self._on_broken = descriptor, on_broken
        self._lines: queue.Queue[str] = queue.Queue(capacity)
        self._thread = threading.Thread(target=self._work, name="outlet", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Queue one line, without its end; never blocks."""
        while True:
            try:
                return self._lines.put_nowait(line)
            except queue.Full:
                with contextlib.suppress(queue.Empty):
                    self._lines.get_nowait()
                    self._lines.task_done()
                    self.dropped += 1

    def flush(self, seconds: float) -> int:
        """Wait until everything is written, but no longer than this; returns how many lines so far were not."""
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
            except BlockingIOError:  # whoever gave us the descriptor has made it non-blocking
                select.select((), (self._descriptor,), ())


class OutletHandler(logging.Handler):
    """Log records to a `LineOutlet`: a stalled terminal or journal must not stop the monitor."""

    def __init__(self, outlet: LineOutlet) -> None:
        super().__init__()
        self._outlet = outlet

    def emit(self, record: logging.LogRecord) -> None:
        """Format and queue one record; like all handlers, it does not fail because of a record that cannot be."""
        try:
            self._outlet.write(self.format(record))
        except Exception:
            self.handleError(record)
