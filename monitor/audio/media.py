"""Audio out of files and network streams, whatever their format, decoded by FFmpeg."""

import logging
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from typing import Any
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

OPEN_TIMEOUT = 10.0  # seconds until the first audio
READ_TIMEOUT = 10.0  # seconds without any data
_NOTHING: Samples = np.empty((0, 1), np.float32)


class Media:
    """The first audio stream of a file or URL, open and known to be decodable."""

    rate: int
    """Hertz."""
    channels: int
    duration: float | None
    """Seconds, as the file claims; None where it does not say, as a live stream does not."""

    def __init__(self, location: str) -> None:
        """Open a path or URL and decode its first block. Raises `SourceError`, within a bounded time."""
        self.name = public_name(location)
        self._damaged = 0
        self._decoded = self._decode(location)
        self._first = self._first_block()
        self.channels = self._first.shape[1]

    def blocks(self) -> Generator[Samples, None, None]:
        """All audio as float32[n, channels], once; an empty block while a stream gives none.

        Damaged stretches are left out, and a truncated file ends where it can no longer be decoded, both with a
        warning. Raises `SourceError` when the stream is lost or changes its format.
        """
        with closing(self._decoded):
            yield self._first
            yield from self._decoded
        if self._damaged:
            log.warning("%s: %d damaged packets could not be decoded", self.name, self._damaged)

    def close(self) -> None:
        """Give the file or connection back before the end of `blocks`; not while another thread is in it."""
        self._decoded.close()

    def _first_block(self) -> Samples:
        deadline = time.monotonic() + OPEN_TIMEOUT
        for block in self._decoded:
            if len(block):
                return block
            if time.monotonic() > deadline:
                raise SourceError(f"{self.name}: no audio within {OPEN_TIMEOUT:g} s")
        raise SourceError(f"{self.name}: no audio in it could be decoded; the file is empty or damaged")

    def _decode(self, location: str) -> Generator[Samples, None, None]:
        with self._translated(), _open(location) as container:
            if not container.streams.audio:
                kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
                raise SourceError(f"{self.name}: no audio stream in it, only {kinds}")
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
                        resampler = av.AudioResampler(format="flt")  # the sample format, and nothing else
                        self.rate = frame.sample_rate
                    elif shape != _shape(frame):
                        raise SourceError(f"{self.name}: changed its rate, channels or sample format midway")
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
        """Say FFmpeg's errors in our words; its own would repeat the URL with the password in it."""
        try:
            yield
        except (av.error.ExitError, TimeoutError) as error:
            raise SourceError(f"{self.name}: it has stopped answering") from error
        except (av.error.InvalidDataError, av.error.EOFError) as error:
            raise SourceError(f"{self.name}: not audio in a known format, or damaged") from error
        except (av.FFmpegError, OSError) as error:
            raise SourceError(f"{self.name}: {error.strerror}") from error


def _open(location: str) -> InputContainer:
    timeouts = (OPEN_TIMEOUT, READ_TIMEOUT)
    if "://" in location:
        rtsp = {"rtsp_transport": "tcp", "allowed_media_types": "audio"} if location.startswith("rtsp") else {}
        return av.open(location, options=rtsp, timeout=timeouts)
    path = expand_home(location)
    if path.is_dir():
        raise SourceError(f"{location}: is a directory, give an audio file in it")
    if path.exists() and not path.is_file():
        raise SourceError(f"{location}: is not a regular file; for raw samples from a pipe use pcm:{location}")
    if path.is_file() and path.stat().st_size == 0:
        raise SourceError(f"{location}: is empty")
    return av.open(f"file:{path}", timeout=timeouts)  # without the scheme FFmpeg takes a:b.wav for a URL


def _shape(frame: AudioFrame) -> tuple[int, int, str]:
    return frame.sample_rate, frame.layout.nb_channels, frame.format.name


def public_name(location: str) -> str:
    """A path as it is; a URL without user, password and query, which may hold secrets."""
    if "://" not in location:
        return location
    url = urlsplit(location)
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"
