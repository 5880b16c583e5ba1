"""Audio from files and network streams of any common format, decoded by FFmpeg."""

import logging
import os
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container.input import InputContainer

from monitor.errors import SourceError
from monitor.files import expand_home
from monitor.messages import Samples

log = logging.getLogger(__name__)

START_TIMEOUT = 10.0
"""Seconds until the first audio."""
READ_TIMEOUT = 10.0
"""Seconds without any data."""
_NOTHING: Samples = np.empty((0, 1), np.float32)


class Media:
    """The first audio stream of a file or URL, open and known to be decodable."""

    rate: int
    """Hertz."""
    channels: int
    duration: float | None
    """Seconds, as the header of the file claims; None for a live stream."""

    def __init__(self, location: str, *, pipes: bool = False) -> None:
        """Open a path or URL and decode its first block. Raises `SourceError`, within a bounded time.

        With `pipes`, a FIFO or `-` (standard input) opens too, and may wait for its writer without a limit.
        """
        self.name = "standard input" if pipes and location == "-" else public_name(location)
        self._damaged = 0
        self._decoded = self._decode(location, pipes)
        self._first = self._first_block()
        self.channels = self._first.shape[1]

    def blocks(self) -> Generator[Samples, None, None]:
        """Yield all audio as float32[n, channels], once; an empty block while a stream delivers none.

        Damaged packets are omitted with a warning, and a truncated file ends where it can no longer be decoded.
        Raises `SourceError` when the stream is lost or changes its format.
        """
        with closing(self._decoded):
            yield self._first
            yield from self._decoded
        if self._damaged:
            log.warning("%s: %d damaged packets could not be decoded", self.name, self._damaged)

    def close(self) -> None:
        """Close the file or connection before the end of `blocks`; not while another thread iterates over them."""
        self._decoded.close()

    def _first_block(self) -> Samples:
        deadline = time.monotonic() + START_TIMEOUT
        for block in self._decoded:
            if len(block):
                return block
            if time.monotonic() > deadline:
                raise SourceError(f"{self.name}: no audio within {START_TIMEOUT:g} s")
        raise SourceError(f"{self.name}: none of its audio could be decoded; the file is empty or damaged")

    def _decode(self, location: str, pipes: bool) -> Generator[Samples, None, None]:
        with self._translated(), _opened(location, pipes) as container:
            if not container.streams.audio:
                kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
                raise SourceError(f"{self.name}: contains no audio, only {kinds}")
            stream = container.streams.audio[0]
            self.duration = container.duration / av.time_base if container.duration else None
            shape = None
            for packet in container.demux():
                if packet.stream.index != stream.index:
                    yield _NOTHING
                    continue
                for frame in self._frames(stream, packet):
                    if shape is None:
                        shape = _shape(frame)
                        resampler = av.AudioResampler(format="flt")  # changes the sample format alone
                        self.rate = frame.sample_rate
                    elif shape != _shape(frame):
                        raise SourceError(f"{self.name}: its rate, channels or sample format changed midway")
                    for converted in resampler.resample(frame):
                        frames = np.asarray(converted.to_ndarray(), np.float32)
                        yield frames.reshape(-1, converted.layout.nb_channels)

    def _frames(self, stream: AudioStream, packet: "av.Packet[Any]") -> list[AudioFrame]:
        try:
            return stream.decode(packet)
        except av.FFmpegError:
            self._damaged += 1
            return []

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Translate FFmpeg's errors; its own messages would repeat a URL with the password in it."""
        try:
            yield
        except (av.error.ExitError, TimeoutError) as error:
            raise SourceError(f"{self.name}: stopped responding") from error
        except (av.error.InvalidDataError, av.error.EOFError) as error:
            raise SourceError(f"{self.name}: not audio in a known format, or damaged") from error
        except (av.FFmpegError, OSError) as error:
            raise SourceError(f"{self.name}: {error.strerror}") from error


@contextmanager
def _opened(location: str, pipes: bool) -> Iterator[InputContainer]:
    """Open a path or URL, and close it at the end. Raises `SourceError` or one of FFmpeg's errors."""
    timeouts = (START_TIMEOUT, READ_TIMEOUT)
    scheme, url, rest = location.partition("://")
    if url:
        scheme = scheme.lower()  # FFmpeg knows no protocol in capitals
        rtsp = {"rtsp_transport": "tcp", "allowed_media_types": "audio"} if scheme.startswith("rtsp") else {}
        with av.open(f"{scheme}://{rest}", options=rtsp, timeout=timeouts, metadata_errors="replace") as container:
            yield container
    elif pipes and (location == "-" or expand_home(location).is_fifo()):
        with _pipe(location) as pipe, av.open(pipe, "r", metadata_errors="replace") as container:
            yield container
    else:
        path = f"file:{_regular(location)}"  # without the scheme FFmpeg takes a:b.wav for a URL
        with av.open(path, timeout=timeouts, metadata_errors="replace") as container:
            yield container


def _pipe(location: str) -> BinaryIO:
    if location != "-":
        return expand_home(location).open("rb")
    if os.isatty(0):
        raise SourceError("standard input is a terminal; pipe an audio file into it")
    return os.fdopen(os.dup(0), "rb")


def _regular(location: str) -> Path:
    path = expand_home(location)
    if path.is_dir():
        raise SourceError(f"{location}: is a directory; give an audio file in it")
    if path.exists() and not path.is_file():
        raise SourceError(f"{location}: is not a regular file; for raw samples from a pipe use pcm:{location}")
    if path.is_file() and path.stat().st_size == 0:
        raise SourceError(f"{location}: is empty")
    return path


def _shape(frame: AudioFrame) -> tuple[int, int, str]:
    return frame.sample_rate, frame.layout.nb_channels, frame.format.name


def public_name(location: str) -> str:
    """Return a path unchanged, and a URL without user, password and query, which may be secret."""
    if "://" not in location:
        return location
    url = urlsplit(location)
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"
