"""Raw samples, signed 16 bit little-endian, from standard input, a FIFO or a file."""

import os
import select
import stat
from collections.abc import Generator

import numpy as np

from monitor.errors import SourceError
from monitor.files import expand_home
from monitor.messages import Samples

READ = 65536  # bytes at most at once, the size of a pipe
POLL = 200  # milliseconds without data after which an empty block is given


def open_pcm(path: str) -> int:
    """A file descriptor to read from: `-` is standard input. A FIFO may be without a writer. Raises `SourceError`."""
    try:
        if path == "-":
            descriptor = os.dup(0)
            if os.isatty(descriptor):
                os.close(descriptor)
                raise SourceError("pcm:-: standard input is a terminal; pipe raw 16-bit samples into it")
            return descriptor
        there = expand_home(path)
        descriptor = os.open(there, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SourceError(f"pcm:{path}: {error.strerror}") from error
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SourceError(f"pcm:{path}: is a directory; give a file or a FIFO of raw 16-bit samples")
    return descriptor


def read_pcm(descriptor: int, channels: int) -> Generator[Samples, None, None]:
    """All samples as float32[n, channels] until the end, closing the descriptor; an empty block while none come.

    Part of a frame at the very end is left out. Raises `SourceError` when reading fails.
    """
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    rest = b""
    try:
        while True:
            if not poll.poll(POLL):
                yield decode_pcm(b"", channels)
                continue
            data = os.read(descriptor, READ)
            if not data:
                return
            data = rest + data
            whole = len(data) - len(data) % (2 * channels)
            rest = data[whole:]
            yield decode_pcm(data[:whole], channels)
    except OSError as error:
        raise SourceError(f"pcm: cannot read: {error.strerror}") from error
    finally:
        os.close(descriptor)


def decode_pcm(data: bytes, channels: int) -> Samples:
    """Whole frames of signed 16-bit little-endian samples as float32[n, channels] in [-1, 1)."""
    return np.frombuffer(data, "<i2").reshape(-1, channels).astype(np.float32) / np.float32(32768)
