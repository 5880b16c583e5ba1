"""Raw samples, signed 16 bit little-endian, from standard input, a FIFO or a file."""

import os
import select
import stat
import time
from collections.abc import Generator
from pathlib import Path

import numpy as np

from monitor.errors import SourceError
from monitor.files import expand_home
from monitor.messages import Samples

CHUNK = 65536
"""Most bytes to read at once: the size of a pipe."""
POLL_MS = 200
"""Milliseconds without data after which an empty block is yielded."""


def open_pcm(path: str) -> int:
    """Open a path, or `-` for standard input, and return its descriptor. A FIFO needs no writer yet.

    Raises `SourceError`.
    """
    try:
        if path == "-":
            descriptor = os.dup(0)
            if os.isatty(descriptor):
                os.close(descriptor)
                raise SourceError("pcm:-: standard input is a terminal; pipe raw 16-bit samples into it")
            return descriptor
        descriptor = os.open(expand_home(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SourceError(f"pcm:{path}: {error.strerror}") from error
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SourceError(f"pcm:{path}: is a directory; give a file or a FIFO of raw 16-bit samples")
    return descriptor


def has_name(path: str) -> bool:
    """Whether this is a FIFO that another writer can open, unlike the pipes of standard input and of /dev/fd."""
    return path != "-" and Path(os.path.realpath(expand_home(path))).is_fifo()


def read_pcm(descriptor: int, channels: int, *, waits: bool = False) -> Generator[Samples, None, None]:
    """Yield all samples as float32[n, channels], and an empty block while none arrive; close the descriptor at the end.

    With `waits`, the end of a FIFO's writer is not the end: another one may come. An incomplete frame at the end of a
    writer is omitted. Raises `SourceError` when reading fails.
    """
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    rest = b""
    try:
        while True:
            if not poll.poll(POLL_MS):
                yield decode_pcm(b"", channels)
                continue
            data = os.read(descriptor, CHUNK)
            if not data:
                if not waits:
                    return
                rest = b""
                yield decode_pcm(b"", channels)
                time.sleep(POLL_MS / 1000)
                continue
            data = rest + data
            whole = len(data) - len(data) % (2 * channels)
            rest = data[whole:]
            yield decode_pcm(data[:whole], channels)
    except OSError as error:
        raise SourceError(f"pcm: cannot read: {error.strerror}") from error
    finally:
        os.close(descriptor)


def decode_pcm(data: bytes, channels: int) -> Samples:
    """Convert whole frames of signed 16-bit little-endian samples to float32[n, channels] in [-1, 1)."""
    return np.frombuffer(data, "<i2").reshape(-1, channels).astype(np.float32) / np.float32(32768)
