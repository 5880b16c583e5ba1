"""WAV files that FFmpeg misreads."""

import struct
from pathlib import Path

import numpy as np
import pytest

from monitor.audio.inputs.media import Media
from monitor.audio.inputs.wav import wav_layout
from monitor.messages import Samples
from tests.parts.audio_file import tone

RATE = 8000


def write_chunks(
    path: Path, order: str, form: bytes, data: bytes, *, claimed: int | None = None, after: bytes = b""
) -> Path:
    """Write a WAV file whose header claims `claimed` bytes of samples."""
    size = len(data) if claimed is None else claimed
    body = b"WAVE" + struct.pack(f"{order}4sI", b"fmt ", len(form)) + form
    body += struct.pack(f"{order}4sI", b"data", size) + data + after
    path.write_bytes(struct.pack(f"{order}4sI", b"RIFX" if order == ">" else b"RIFF", len(body)) + body)
    return path


def plain(order: str, channels: int, width: int, bits: int, tag: int = 1) -> bytes:
    """The contents of a `fmt ` chunk."""
    return struct.pack(f"{order}HHIIHH", tag, channels, RATE, RATE * channels * width, channels * width, bits)


def everything(path: Path) -> Samples:
    """Decode a file."""
    return np.concatenate(list(Media(str(path)).blocks()))


@pytest.mark.parametrize(("width", "kind"), [(2, "i2"), (3, "i4"), (4, "i4"), (4, "f4"), (8, "f8"), (1, "u1")])
@pytest.mark.parametrize("channels", [1, 2])
def test_big_endian_files_have_their_samples(tmp_path: Path, width: int, kind: str, channels: int) -> None:
    """RIFX is decoded in its own byte order, in all sample formats."""
    samples = tone(1, RATE, 440, 1000)[:, :channels]
    if kind[0] == "f":
        data = samples.astype(f">{kind}").tobytes()
    elif kind == "u1":
        data = np.round(samples * 127 + 128).astype(np.uint8).tobytes()
    else:
        whole = np.round(samples * 2.0 ** (8 * int(kind[1]) - 1)).astype(f">{kind}")
        data = whole.reshape(-1).view(np.uint8).reshape(-1, int(kind[1]))[:, :width].tobytes()
    form = plain(">", channels, width, 8 * width, tag=3 if kind[0] == "f" else 1)
    heard = everything(write_chunks(tmp_path / "a.wav", ">", form, data))
    assert heard.shape == samples.shape
    assert np.abs(heard - samples).max() < (0.01 if width == 1 else 1e-4)


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize("high", [False, True])
def test_24_bits_in_32_have_their_level(tmp_path: Path, extensible: bool, high: bool) -> None:
    """The sample may be in the low bits, as arecord writes S24_LE, or in the high ones, as the format requires."""
    samples = tone(1, RATE, 440)
    whole = np.round(samples * 2**23).astype("<i4")
    data = (whole << 8 if high else whole).tobytes()
    form = plain("<", 1, 4, 32 if extensible else 24)
    if extensible:
        form = struct.pack("<H", 0xFFFE) + form[2:] + struct.pack("<HHIH14x", 22, 24, 4, 1)
    heard = everything(write_chunks(tmp_path / "a.wav", "<", form, data))
    assert heard.shape == samples.shape
    assert np.abs(heard - samples).max() < 1e-5


def sixteen(seconds: float) -> bytes:
    """A tone in 16 bits."""
    return np.round(tone(seconds, RATE, 440) * 32767).astype("<i2").tobytes()


def test_a_header_that_claims_too_little_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The whole file is decoded, and the warning has both durations."""
    path = write_chunks(tmp_path / "a.wav", "<", plain("<", 1, 2, 16), sixteen(6), claimed=2 * RATE)
    assert len(everything(path)) == 6 * RATE
    assert "its header claims 1.0 s, the file has 6.0 s of audio" in caplog.text


def test_chunks_after_the_samples_are_no_audio(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Tags at the end of a file are neither decoded nor a reason for a warning."""
    tags = b"LIST" + struct.pack("<I", 4000) + bytes(4000)
    path = write_chunks(tmp_path / "a.wav", "<", plain("<", 1, 2, 16), sixteen(1), after=tags)
    assert len(everything(path)) == RATE
    tags = b"LIST" + struct.pack(">I", 4000) + bytes(4000)
    path = write_chunks(tmp_path / "b.wav", ">", plain(">", 1, 2, 16), sixteen(1), after=tags)
    assert len(everything(path)) == RATE
    assert caplog.text == ""


@pytest.mark.parametrize("data", [b"", b"RIFF", b"RIFF....WAVE", b"RIFF....WAVEfmt \xff\xff\xff\xff", b"OggS" * 20])
def test_other_files_have_no_layout(tmp_path: Path, data: bytes) -> None:
    """A file that is not a WAV file, or has no samples, is left to FFmpeg."""
    (tmp_path / "a").write_bytes(data)
    assert wav_layout(tmp_path / "a") is None
