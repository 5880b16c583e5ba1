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

from monitor.audio.inputs.wav import WavLayout, wav_layout
from monitor.audio.timeline import Converter, Doubt, TimedBlock, Timeline, minutes
from monitor.errors import SourceError
from monitor.files import expand_home
from monitor.messages import Samples

log = logging.getLogger(__name__)

START_TIMEOUT = 10.0
"""Seconds until the first audio."""
READ_TIMEOUT = 10.0
"""Seconds without any data."""
ANALYSED = 1_000_000
"""Microseconds of a stream that FFmpeg may read to find its format; by default five times as many."""
SILENCE = 0.05
"""Seconds of a block of silence in place of missing audio."""
EXACT = ("w64", "flac", "aiff", "caf", "mov,mp4,m4a,3gp,3g2,mj2")
"""Formats whose header has the exact duration."""
_NOTHING = TimedBlock(np.empty((0, 1), np.float32), 1, 0.0, new=False)


class Media:
    """One audio stream of a file or URL, open and known to be decodable."""

    rate: int
    """Hertz, at the start."""
    channels: int
    """At the start."""
    duration: float | None
    """Seconds, as the header of the file claims; None for a live stream."""

    def __init__(self, location: str, *, pipes: bool = False, track: int | None = None) -> None:
        """Open a path or URL and decode its first block. Raises `SourceError`, within a bounded time.

        With `pipes`, a FIFO or `-` (standard input) opens too, and may wait for its writer without a limit. `track`
        counts the audio tracks from 1; by default the one that the file marks as default, otherwise the best.
        """
        self.name = "standard input" if pipes and location == "-" else public_name(location)
        self.begun = time.monotonic()
        """When opening began, monotonic: FFmpeg reads some seconds before the first block."""
        self._is_file = "://" not in location
        self._location, self._pipes, self._track = location, pipes, track
        self._damaged = 0
        self._end = 0.0
        self._position = 0
        self._shape: tuple[int, int, str] | None = None
        self._doubt = Doubt(self.name)
        self._decoded = self._decode()
        self._first = self._first_block()
        self.rate, self.channels = self._first.rate, self._first.samples.shape[1]

    def timed(self) -> Generator[TimedBlock, None, None]:
        """Yield all audio with its times, once; an empty block while a stream delivers none.

        Damaged packets are omitted with a warning, and a truncated file ends where it can no longer be decoded.
        Raises `SourceError`, with the time, when the rest cannot be read.
        """
        with closing(self._decoded):
            yield self._first
            for block in self._decoded:
                self._doubt.look(block)
                yield block
        if self._damaged:
            log.warning("%s: %d damaged packets could not be decoded", self.name, self._damaged)
        if self._is_file:
            self._doubt.silent()

    def blocks(self, *, holes: bool = False) -> Generator[Samples, None, None]:
        """Yield all audio as float32[n, channels] at the rate and channels of the start, once.

        With `holes`, silence takes the place of what is missing before and between. Otherwise as `timed`.
        """
        convert = Converter(self.rate, self.channels)
        end = 0.0
        for block in self.timed():
            if holes and block.new:
                for _ in range(round((block.at - end) / SILENCE)):
                    yield np.zeros((round(SILENCE * self.rate), self.channels), np.float32)
            yield convert.push(block)
            end = block.end

    def close(self) -> None:
        """Close the file or connection before the end of `blocks`; not while another thread iterates over them."""
        self._decoded.close()

    def _first_block(self) -> TimedBlock:
        deadline = time.monotonic() + START_TIMEOUT
        for block in self._decoded:
            if len(block.samples):
                self._doubt.look(block)
                return block
            if time.monotonic() > deadline:
                raise SourceError(f"{self.name}: no audio within {START_TIMEOUT:g} s")
        raise SourceError(f"{self.name}: none of its audio could be decoded; the file is empty or damaged")

    def _decode(self) -> Generator[TimedBlock, None, None]:
        with self._translated():
            wav = self._odd_wav()
            if wav is not None and wav.misread:
                yield from self._read_wav(wav)
                return
            options = {"ignore_length": "1"} if wav is not None else {}
            while True:
                try:
                    yield from self._read(options)
                    return
                except av.error.PatchWelcomeError:  # a chained Ogg stream continues in another format
                    options = {"skip_initial_bytes": str(self._next_chain())}

    def _next_chain(self) -> int:
        """Return where the next stream of a chained Ogg file begins, in bytes."""
        if self._is_file:
            data = _regular(self._location).read_bytes()
            if (at := data.find(b"OggS\0\2", self._position + 1)) > 0:
                self._position = at
                return at
        raise SourceError(f"{self._place()}: its format changes there, which FFmpeg cannot decode")

    def _odd_wav(self) -> WavLayout | None:
        """Return the layout of a WAV file that FFmpeg would misread; say why."""
        if not self._is_file or not (path := expand_home(self._location)).is_file():
            return None
        wav = wav_layout(path)
        if wav is not None and (wav.lies or wav.truncated):
            claim, truth = wav.seconds(wav.claimed), wav.seconds(wav.size)
            log.warning("%s: its header claims %.1f s, the file has %.1f s of audio", self.name, claim, truth)
        return wav if wav is not None and (wav.misread or wav.lies) else None

    def _read_wav(self, wav: WavLayout) -> Generator[TimedBlock, None, None]:
        self.duration = wav.seconds(wav.size)
        at = 0.0
        for samples in wav.blocks(expand_home(self._location)):
            yield TimedBlock(samples, wav.rate, at, new=at == 0)
            at += len(samples) / wav.rate

    def _read(self, options: dict[str, str]) -> Generator[TimedBlock, None, None]:
        with _opened(self._location, self._pipes, options) as container:
            stream = self._chosen(container)
            self.duration = container.duration / av.time_base if container.duration else None
            start = container.start_time
            timeline = Timeline(start / av.time_base if start is not None and self._is_file else None, self._end)
            for packet in container.demux():
                self._position = packet.pos or self._position
                if packet.stream.index != stream.index:
                    yield _NOTHING
                    continue
                for frame in self._frames(stream, packet):
                    begin, hole = timeline.place(frame.time, frame.samples / frame.sample_rate)
                    new = hole > 0 or _shape(frame) != self._shape
                    if new:
                        self._say_change(begin, hole, frame)
                        self._shape = _shape(frame)
                        resampler = av.AudioResampler(format="flt")  # changes the sample format alone
                    for converted in resampler.resample(frame):
                        frames = np.asarray(converted.to_ndarray(), np.float32)
                        samples = frames.reshape(-1, converted.layout.nb_channels)
                        block = TimedBlock(samples, frame.sample_rate, begin, new=new)
                        self._end = begin = block.end
                        new = False
                        yield block
            self._say_short(container.format.name)

    def _chosen(self, container: InputContainer) -> AudioStream:
        tracks = container.streams.audio
        if not tracks:
            kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
            raise SourceError(f"{self.name}: contains no audio, only {kinds}")
        if self._track is not None:
            if self._track > len(tracks):
                raise SourceError(f"{self.name}: has no audio track {self._track}, only {len(tracks)}")
            return tracks[self._track - 1]
        best = container.streams.best("audio")
        chosen = next((track for track in tracks if best is not None and track.index == best.index), tracks[0])
        if len(tracks) > 1:
            log.info("%s: track %d of its %d audio tracks", self.name, tracks.index(chosen) + 1, len(tracks))
        return chosen

    def _say_change(self, at: float, hole: float, frame: AudioFrame) -> None:
        if self._shape is None or not self._is_file:
            return
        if hole:
            log.warning("%s: %.1f s of audio are missing before %s", self.name, hole, minutes(at))
        else:
            form = f"{frame.sample_rate} Hz, {frame.layout.name}"
            log.warning("%s: changes at %s to %s", self.name, minutes(at), form)

    def _say_short(self, form: str) -> None:
        """Warn about a file that ends before its header says; other formats only estimate their duration."""
        if self._is_file and self.duration and form in EXACT and self._end < 0.98 * self.duration - 0.1:
            claim, end = minutes(self.duration), minutes(self._end)
            log.warning("%s: ends at %s, its header claims %s: truncated?", self.name, end, claim)

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
            raise SourceError(f"{self._place()}: stopped responding") from error
        except (av.error.InvalidDataError, av.error.EOFError) as error:
            raise SourceError(f"{self._place()}: not audio in a known format, or damaged") from error
        except (av.FFmpegError, OSError) as error:
            raise SourceError(f"{self._place()}: {error.strerror}") from error

    def _place(self) -> str:
        """Name the file, and where in it reading failed."""
        return f"{self.name}: cannot be read beyond {minutes(self._end)}" if self._is_file and self._end else self.name


@contextmanager
def _opened(location: str, pipes: bool, options: dict[str, str]) -> Iterator[InputContainer]:
    """Open a path or URL, and close it at the end. Raises `SourceError` or one of FFmpeg's errors."""
    timeouts = (START_TIMEOUT, READ_TIMEOUT)
    scheme, url, rest = location.partition("://")
    if url:
        scheme = scheme.lower()  # FFmpeg knows no protocol in capitals
        options = {"analyzeduration": str(ANALYSED)}
        if scheme.startswith("rtsp"):
            options |= {"rtsp_transport": "tcp", "allowed_media_types": "audio"}
        with av.open(f"{scheme}://{rest}", options=options, timeout=timeouts, metadata_errors="replace") as container:
            yield container
    elif pipes and (location == "-" or expand_home(location).is_fifo()):
        with _pipe(location) as pipe, av.open(pipe, "r", metadata_errors="replace") as container:
            yield container
    else:
        path = f"file:{_regular(location)}"  # without the scheme FFmpeg takes a:b.wav for a URL
        with av.open(path, options=options, timeout=timeouts, metadata_errors="replace") as container:
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
