"""Source specifications (`mic:USB`, `door.wav`, `rtsp://…`): how a user names an input, and how to open it.

Importing this module loads no audio library and no NumPy, for `--help` shows `FORMS`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from monitor.errors import ConfigError, SourceError, suggestion

if TYPE_CHECKING:
    from collections.abc import Generator

    from monitor.audio.inputs.capture import Capture, Opener
    from monitor.audio.inputs.media import Media
    from monitor.config.schema import Channel
    from monitor.messages import Samples

FORMS = """\
  mic                         the default microphone
  mic:NAME                    the microphone whose name contains NAME, or its number (see `sound-monitor devices`)
  door.wav                    an audio file of any common format, played in real time (--loop repeats it)
  pcm:-[@RATE[xCHANNELS]]     raw little-endian 16-bit samples on standard input, by default 16000x1
  pcm:PATH[@RATE[xCHANNELS]]  the same from a FIFO or a file
  rtsp://... http://...       a network stream, also rtsps, https, rtmp and udp
  demo                        a scene that the program synthesises: smoke alarm, siren, chime, knocks"""

SCHEMES = ("rtsp", "rtsps", "http", "https", "rtmp", "udp")

CATCH_UP = 1.25
"""Highest speed of a stream, in multiples of real time: a burst neither overruns the ring nor leaves a lasting lag."""


class SourceKind(StrEnum):
    """Kind of input."""

    MICROPHONE = "mic"
    FILE = "file"
    PCM = "pcm"
    URL = "url"
    DEMO = "demo"


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """One input: parsed, not opened."""

    kind: SourceKind
    target: str = ""
    """Microphone: part of its name, or its number, empty for the default. Otherwise a path or URL; `-` is stdin."""
    rate: int = 16000
    """Hertz; of raw samples."""
    channels: int = 1
    """Of raw samples."""

    def restarts(self, loop: bool, live: bool = True) -> bool:
        """Whether to open the source again after a loss: a recording only when it loops, a pipe never."""
        if self.kind is SourceKind.FILE or (self.kind is SourceKind.URL and not live):
            return loop
        return self.kind is not SourceKind.PCM


def parse_spec(text: str) -> SourceSpec:
    """Parse a source specification. Raises `ConfigError`, whose message lists all forms."""
    word, colon, rest = text.partition(":")
    if not text.strip() or any(ord(character) < 32 for character in text):
        raise _refused(text, "is not a source")
    if "://" in text:
        return _parse_url(text)
    if word == "pcm" and colon:
        return _parse_pcm(text, rest)
    if word == "mic" and (rest or not colon):
        return SourceSpec(SourceKind.MICROPHONE, rest)
    if text == "demo":
        return SourceSpec(SourceKind.DEMO)
    if "." in text or "/" in text:
        return SourceSpec(SourceKind.FILE, text)
    raise _refused(text, f"is not a source; {suggestion(word.lower(), ('mic', 'pcm', 'demo'), cutoff=0.6)}")


def default_name(spec: SourceSpec) -> str:
    """Return a short name for messages and topics, made of the characters A-Z a-z 0-9 _ - only."""
    match spec.kind:
        case SourceKind.MICROPHONE:
            name = f"mic-{spec.target}"
        case SourceKind.FILE:
            name = Path(spec.target).stem
        case SourceKind.PCM:
            name = "stdin" if spec.target == "-" else Path(spec.target).stem
        case SourceKind.URL:
            url = urlsplit(spec.target)
            name = f"{url.hostname or spec.kind}{url.path}"
        case SourceKind.DEMO:
            name = "demo"
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:64].strip("-") or spec.kind.value


def opener(spec: SourceSpec, rate: int, loop: bool = False, *, live: bool = True, channel: Channel = "mix") -> Opener:
    """Return a function that opens the source.

    `rate` (the model's, Hertz) is requested from a microphone; `loop` repeats a recording: a file, or a URL that is not
    `live`. A source without a `channel` of this number is refused.
    """
    number = channel if isinstance(channel, int) else 1
    before = stream = None

    def open_source() -> Capture:
        capture = open_any()
        if number > capture.ring.channels:
            capture.close()
            raise SourceError(f"{capture.device}: there is no channel {number}, only {capture.ring.channels}")
        return capture

    def open_any() -> Capture:
        nonlocal before, stream
        match spec.kind:
            case SourceKind.MICROPHONE:
                from monitor.audio.inputs.microphone import Microphone

                microphone = Microphone(spec.target, rate, before, channels=max(2, number))
                before = microphone.chosen
                return microphone
            case SourceKind.URL if live:
                from monitor.audio.inputs.stream import LiveStream  # loads FFmpeg

                stream = stream or LiveStream(spec.target)
                return _play(*stream.open(), CATCH_UP)
            case SourceKind.FILE | SourceKind.URL:
                return _open_recording(spec.target, loop)
            case SourceKind.PCM:
                return _open_pcm(spec)
            case SourceKind.DEMO:
                return _open_demo()

    return open_source


def _open_recording(location: str, loop: bool) -> Capture:
    from monitor.audio.inputs.media import Media  # loads FFmpeg

    media = Media(location)

    def blocks() -> Generator[Samples, None, None]:
        yield from media.blocks(holes=True)
        while loop:
            yield from Media(location).blocks(holes=True)

    return _play(media, blocks(), 1.0)


def _play(media: Media, blocks: Generator[Samples, None, None], speed: float) -> Capture:
    from monitor.audio.inputs.feeder import Feeder

    return Feeder(blocks, rate=media.rate, channels=media.channels, device=media.name, live=True, speed=speed)


def _open_pcm(spec: SourceSpec) -> Capture:
    from monitor.audio.inputs.feeder import Feeder
    from monitor.audio.inputs.pcm import has_name, open_pcm, read_pcm

    blocks = read_pcm(open_pcm(spec.target), spec.channels, waits=has_name(spec.target))
    name = "standard input" if spec.target == "-" else spec.target
    return Feeder(blocks, rate=spec.rate, channels=spec.channels, device=name, live=False)


def _open_demo() -> Capture:
    from monitor.audio.inputs import demo
    from monitor.audio.inputs.feeder import Feeder

    return Feeder(demo.endless_scene(), rate=demo.RATE, channels=1, device="demonstration", live=True)


def _parse_url(text: str) -> SourceSpec:
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError as error:
        raise _refused(text, f"is not a URL ({error})") from error
    if url.scheme not in SCHEMES:
        raise _refused(text, f"has an unknown scheme; {suggestion(url.scheme, SCHEMES, cutoff=0.7)}")
    if not host and url.scheme != "udp":
        raise _refused(text, "has no host")
    return SourceSpec(SourceKind.URL, text)


def _parse_pcm(text: str, rest: str) -> SourceSpec:
    form = re.search(r"@([0-9]{1,6})(?:x([0-9]{1,2}))?$", rest)
    path = rest[: form.start()] if form else rest
    spec = SourceSpec(SourceKind.PCM, path)
    if form:
        spec = replace(spec, rate=int(form[1]), channels=int(form[2] or 1))
    if not path or (path.startswith("-") and path != "-"):
        raise _refused(text, "has no path, or an invalid rate")
    if not 1000 <= spec.rate <= 384000 or not 1 <= spec.channels <= 32:
        raise _refused(text, "has a rate outside 1000 to 384000 Hz, or other than 1 to 32 channels")
    return spec


def _refused(text: str, why: str) -> ConfigError:
    return ConfigError(f"{text!r} {why}\na source (SPEC) is one of\n{FORMS}")
