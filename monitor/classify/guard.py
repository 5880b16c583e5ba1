"""Bounds on what a model may take of the machine while it is loaded and tried out.

A file of a few bytes can ask for a hundred gigabytes, or for a loop without end, and only running it tells.
"""

import contextlib
import os
import resource
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

MEMORY = 8 * 2**30
"""Bytes that loading and a first run may add; less on a small machine."""
PATIENCE = 300.0
"""Seconds that a first run may take; the largest transformers need a minute of it on a small or busy machine."""


@contextlib.contextmanager
def bounded_memory() -> Iterator[None]:
    """Let allocations fail that go beyond half of the machine's memory, or `MEMORY`; the whole process feels it."""
    page = os.sysconf("SC_PAGE_SIZE")
    budget = min(MEMORY, os.sysconf("SC_PHYS_PAGES") * page // 2)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    try:
        limit = int(Path("/proc/self/statm").read_text().split()[0]) * page + budget
    except OSError:  # not Linux
        yield
        return
    if soft != resource.RLIM_INFINITY:
        limit = min(limit, soft)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextlib.contextmanager
def bounded_time(terminate: Callable[[], None]) -> Iterator[None]:
    """Call `terminate` when `PATIENCE` is over; what that breaks off raises `TimeoutError` instead."""
    timer = threading.Timer(PATIENCE, terminate)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as error:
        if timer.finished.is_set():
            raise TimeoutError(f"it takes longer than {PATIENCE:g} s") from error
        raise
    finally:
        timer.cancel()
