"""Live network streams: what a server sends at first is old, and what it sends at once is a recording."""

import time
from collections import deque
from collections.abc import Generator

from monitor.audio.inputs.media import Media
from monitor.errors import SourceError
from monitor.messages import Samples

KEPT = 1.0
"""Seconds of the newest audio that are kept of what a server sends at first."""
WAITED = 0.2
"""Seconds for which a read must block to show that the server has sent all it has."""
EVEN, FASTEST = 0.3, 2.0
"""Seconds in which audio must arrive at no more than this multiple of real time to show the same."""
PROBED = 6.0
"""Seconds of audio that may be gone at the beginning: FFmpeg reads up to five of them to find the format."""
AT_ONCE = 3.0
"""Seconds for which a live server may send faster than real time: a few seconds of older sound."""


class LiveStream:
    """Opens one URL again and again, and refuses to take a recording for live sound."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._played: float | None = None

    def open(self) -> tuple[Media, Generator[Samples, None, None]]:
        """Open the URL; return it and its newest audio, float32[n, channels]. Raises `SourceError`."""
        media = Media(self._url)
        if self._played is not None and media.duration is not None and abs(media.duration - self._played) < 1:
            media.close()
            raise SourceError(_recording(media, f"plays the same {self._played:.0f} s again"))
        return media, self._blocks(media)

    def _blocks(self, media: Media) -> Generator[Samples, None, None]:
        self._played = None
        frames = 0
        for block in newest(media):
            frames += len(block)
            yield block
        if media.duration is not None and frames / media.rate > media.duration - PROBED:
            self._played = media.duration
        raise SourceError(f"{media.name}: the stream ended")


def newest(media: Media) -> Generator[Samples, None, None]:
    """Yield the audio of a live stream without what is older than `KEPT` at the beginning.

    Raises `SourceError` when it is a recording: the server sends it much faster than real time, for too long or to
    its end.
    """
    blocks = media.blocks()
    begun = before = time.monotonic()
    received, fast = 0.0, False
    kept: deque[Samples] = deque()
    arrived: deque[tuple[float, int]] = deque()
    for block in blocks:
        now = time.monotonic()
        kept.append(block)
        arrived.append((now, len(block)))
        while arrived[0][0] < now - EVEN:
            arrived.popleft()
        even = now - begun >= EVEN and sum(size for _, size in arrived) <= FASTEST * EVEN * media.rate
        if now - before >= WAITED or even:
            break
        received += len(block) / media.rate
        fast = received > FASTEST * (now - media.begun)
        if fast and now - begun > AT_ONCE:
            raise SourceError(_recording(media, "sends faster than real time"))
        while sum(map(len, kept)) - len(kept[0]) > KEPT * media.rate:
            kept.popleft()
        before = now
    else:
        if fast:
            raise SourceError(_recording(media, "sends all at once, and ends"))
    yield from kept
    yield from blocks


def _recording(media: Media, evidence: str) -> str:
    return f"{media.name}: a recording, not live sound: the server {evidence}; set live: false to play it once"
