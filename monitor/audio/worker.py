"""A daemon thread for calls that are not thread-safe and may hang: one after another, and nobody waits for ever."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Worker:
    """Does one job after another in a thread of its own; a job that hangs holds up only the jobs behind it."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def submit(self, job: Callable[[], T]) -> Future[T]:
        """Have the job done when its turn comes."""
        future: Future[T] = Future()
        self._jobs.put((future, job))
        return future

    def call(self, job: Callable[[], T], timeout: float, abandoned: Callable[[], None] | None = None) -> T:
        """What `job` returns or raises; `TimeoutError` after so many seconds.

        A job that has not begun by then never will; one that has goes on, and `abandoned` runs in the thread after it.
        """
        future = self.submit(job)
        try:
            return future.result(timeout)
        except TimeoutError:
            if not future.cancel() and abandoned:
                future.add_done_callback(lambda _: abandoned())
            raise

    def _run(self) -> None:
        while True:
            future, job = self._jobs.get()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(job())
                except Exception as error:
                    future.set_exception(error)
