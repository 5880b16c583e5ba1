"""One monitor owns an event log: a second one would end the sounds of the first, and mix its own among them."""

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from monitor.errors import InUseError

log = logging.getLogger(__name__)

MAX_BYTES = 1000
"""Most bytes of a lock file that are read."""


class _Holder(msgspec.Struct):
    """The content of the lock file."""

    pid: int
    since: datetime


@contextlib.contextmanager
def owned(path: Path) -> Iterator[None]:
    """Own the event log `path` for as long as the context lasts, also after a kill. Raises `InUseError`.

    The lock is a file beside the log. If it cannot be created, for example on a full disk, the monitor runs without it.
    """
    lock = Path(f"{path}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        log.warning("cannot create %s (%s): a second monitor on this event log would not be noticed", lock, error)
        yield
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUseError(
                f"another monitor{_described(descriptor)} uses the event log {path}: stop it, or set events.path to "
                "another file"
            ) from None
        except OSError as error:
            log.warning("cannot lock %s (%s): a second monitor on this event log would not be noticed", lock, error)
        else:
            _note_holder(descriptor)
        yield
    finally:
        os.close(descriptor)


def _note_holder(descriptor: int) -> None:
    holder = msgspec.json.encode(_Holder(os.getpid(), datetime.now().astimezone()))
    with contextlib.suppress(OSError):  # a full disk: the lock holds without it
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, holder, 0)


def _described(descriptor: int) -> str:
    """Return who holds the lock, and since when, as far as this is known."""
    try:
        holder = msgspec.json.decode(os.pread(descriptor, MAX_BYTES, 0), type=_Holder)
    except (OSError, msgspec.MsgspecError):
        return ""
    return f" (process {holder.pid}, since {holder.since.astimezone():%Y-%m-%d %H:%M:%S})"
