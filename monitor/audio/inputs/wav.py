"""WAV files that FFmpeg misreads: other byte orders, 24 bits in 32, and a header that claims too little.

The layout is that of Microsoft's "Multiple Channel Audio Data and WAVE Files" (2001): chunks of a four-character id, a
size, and that many bytes, padded to an even number.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from monitor.messages import Samples

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
"""Format tags."""
CHUNK_FRAMES = 4096
PROBED = 65536
"""Bytes of samples that show on which side of its 32 bits a 24-bit sample is."""
TRAILING = 0.1
"""Seconds of audio by which a header must be wrong: less may be padding."""
UNKNOWN = 0x7FFF0000
"""Bytes from which a claim is a placeholder, as programs write that stream."""


@dataclass(frozen=True, slots=True)
class WavLayout:
    """Where the samples of a WAV file are."""

    big: bool
    """Big-endian (RIFX)."""
    tag: int
    channels: int
    rate: int
    """Hertz."""
    width: int
    """Bytes of a sample of one channel."""
    bits: int
    """Valid bits of a sample."""
    offset: int
    """Bytes before the first sample."""
    claimed: int
    """Bytes of samples, as the header claims."""
    size: int
    """Bytes of samples in the file."""
    low: bool
    """The valid bits are the low ones of a sample; the format's rule is the high ones."""

    @property
    def lies(self) -> bool:
        """Whether the file has more samples than its header claims."""
        return self.seconds(self.size - self.claimed) > TRAILING

    @property
    def truncated(self) -> bool:
        """Whether the file has fewer samples than its header claims; a recorder that does not know claims 2 GB."""
        return self.claimed < UNKNOWN and self.seconds(self.claimed - self.size) > TRAILING

    @property
    def misread(self) -> bool:
        """Whether FFmpeg decodes the samples into something else."""
        plain = self.tag in (PCM, FLOAT) and self.width in (1, 2, 3, 4, 8)
        return plain and (self.big or (self.tag == PCM and self.width == 4 and self.bits == 24))

    def seconds(self, size: int) -> float:
        """Return the duration of this many bytes."""
        return size / (self.rate * self.channels * self.width)

    def blocks(self, path: Path) -> Iterator[Samples]:
        """Yield all samples as float32[n, channels]."""
        frame = self.channels * self.width
        left = self.size - self.size % frame
        with path.open("rb") as file:
            file.seek(self.offset)
            while left and (data := file.read(min(left, CHUNK_FRAMES * frame))):
                left -= len(data)
                yield self._decode(data[: len(data) - len(data) % frame]).reshape(-1, self.channels)

    def _decode(self, data: bytes) -> Samples:
        order = ">" if self.big else "<"
        if self.tag == FLOAT:
            floats: Samples = np.frombuffer(data, f"{order}f{self.width}").astype(np.float32)
            return floats
        if self.width == 1:
            return (np.frombuffer(data, np.uint8).astype(np.float32) - np.float32(128)) / np.float32(128)
        if self.width == 3:
            padded = np.zeros((len(data) // 3, 4), np.uint8)
            at = slice(0, 3) if self.big else slice(1, 4)
            padded[:, at] = np.frombuffer(data, np.uint8).reshape(-1, 3)
            data = padded.tobytes()
        samples = np.frombuffer(data, f"{order}i{2 if self.width == 2 else 4}")
        scale = np.float32(2.0 ** -(self.bits if self.low else 8 * samples.dtype.itemsize) * 2)
        scaled: Samples = samples.astype(np.float32) * scale
        return scaled


def wav_layout(path: Path) -> WavLayout | None:
    """Read the header of a WAV file; None if it is not one, or has no samples. Raises `OSError`."""
    with path.open("rb") as file:
        magic = file.read(12)
        if magic[:4] not in (b"RIFF", b"RIFX") or magic[8:] != b"WAVE":
            return None
        order = ">" if magic[:4] == b"RIFX" else "<"
        total = path.stat().st_size
        form = b""
        while len(head := file.read(8)) == 8:
            name, size = struct.unpack(f"{order}4sI", head)
            if name == b"data":
                return _layout(file, order, form, size, total)
            at = file.tell()
            if name == b"fmt ":
                form = file.read(min(size, 64))
            file.seek(at + size + size % 2)
    return None


def _layout(file: BinaryIO, order: str, form: bytes, claimed: int, total: int) -> WavLayout | None:
    """Describe the samples, which begin at the position of `file`; it has `total` bytes."""
    if len(form) < 16:
        return None
    tag, channels, rate, _, align, bits = struct.unpack_from(f"{order}HHIIHH", form)
    if tag == EXTENSIBLE and len(form) >= 26:
        bits = struct.unpack_from(f"{order}H", form, 18)[0] or bits
        tag = struct.unpack_from(f"{order}H", form, 24)[0]
    if not channels or not rate or not align or align % channels:
        return None
    offset, width = file.tell(), align // channels
    low = False
    if tag == PCM and width == 4 and bits == 24:
        low = _sign_extended(np.frombuffer(file.read(PROBED)[: PROBED // 4 * 4], np.uint8), order)
    size = total - offset
    if claimed <= size and _chunk_follows(file, order, offset + claimed + claimed % 2, total):
        size = claimed
    return WavLayout(order == ">", tag, channels, rate, width, bits, offset, claimed, size, low)


def _sign_extended(data: NDArray[np.uint8], order: str) -> bool:
    """Whether the high byte of each 32-bit sample only repeats the sign of the 24 bits below it."""
    samples = data[: len(data) // 4 * 4].reshape(-1, 4)
    high, next_high = (samples[:, 0], samples[:, 1]) if order == ">" else (samples[:, 3], samples[:, 2])
    return bool(((high == 0) | ((high == 255) & (next_high >= 128))).all())


def _chunk_follows(file: BinaryIO, order: str, at: int, total: int) -> bool:
    """Whether the file ends at `at`, or has another chunk there: then the size before it is true."""
    if at >= total:
        return True
    file.seek(at)
    head = file.read(8)
    if len(head) < 8:
        return True
    name, size = struct.unpack(f"{order}4sI", head)
    return re.fullmatch(rb"[A-Za-z0-9_ ]{4}", name) is not None and at + 8 + size <= total + 1
