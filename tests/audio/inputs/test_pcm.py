"""Raw samples from pipes and files."""

import itertools
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.audio.inputs import pcm
from monitor.errors import SourceError


@given(
    data=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=8), channels=st.sampled_from([1, 2, 3])
)
def test_samples_are_the_same_however_the_pipe_cuts_them(data: bytes, cuts: list[int], channels: int) -> None:
    """Odd bytes are kept for the next read; an incomplete frame at the end is omitted."""
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    reader, writer = os.pipe()
    blocks = pcm.read_pcm(reader, channels)
    heard = []
    for start, end in itertools.pairwise(edges):
        if start < end:
            os.write(writer, data[start:end])
            heard.append(next(blocks))
    os.close(writer)
    heard += blocks
    frames = len(data) // (2 * channels)
    expected = np.frombuffer(data[: 2 * frames * channels], "<i2").reshape(frames, channels)
    samples = np.concatenate([*heard, np.empty((0, channels), np.float32)])
    assert samples.dtype == np.float32
    assert np.array_equal(np.round(samples * 32768).astype(np.int16), expected)


def test_full_scale_is_one() -> None:
    """The most negative sample is exactly -1."""
    assert pcm.decode_pcm(b"\x00\x80\x00\x40", 1)[:, 0].tolist() == [-1.0, 0.5]


def test_a_silent_pipe_gives_empty_blocks() -> None:
    """While an open pipe delivers nothing, empty blocks give the reader a chance to close."""
    reader, writer = os.pipe()
    blocks = pcm.read_pcm(reader, 2)
    assert next(blocks).shape == (0, 2)
    blocks.close()
    os.close(writer)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reader)


def test_a_fifo_opens_before_its_writer(tmp_path: Path) -> None:
    """Opening does not block, and the audio ends only when the writer closes the FIFO."""
    fifo = tmp_path / "audio"
    os.mkfifo(fifo)
    blocks = pcm.read_pcm(pcm.open_pcm(str(fifo)), 1)
    assert len(next(blocks)) == 0
    writer = threading.Thread(target=fifo.write_bytes, args=(b"\x00\x40" * 5,))
    writer.start()
    assert np.concatenate(list(blocks)).tolist() == [[0.5]] * 5
    writer.join()


def test_a_file_is_read_to_its_end(tmp_path: Path) -> None:
    """A regular file is read completely."""
    (tmp_path / "raw").write_bytes(b"\x00\x40" * 100_000)
    begun = time.monotonic()
    assert sum(len(block) for block in pcm.read_pcm(pcm.open_pcm(str(tmp_path / "raw")), 2)) == 50_000
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(("name", "message"), [("none", "No such file"), ("", "is a directory")])
def test_an_error_names_what_cannot_be_read(tmp_path: Path, name: str, message: str) -> None:
    """The message contains the path and the reason."""
    with pytest.raises(SourceError, match=f"pcm:{tmp_path / name}: {message}"):
        pcm.open_pcm(str(tmp_path / name))


def test_a_terminal_is_not_a_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a pipe the error says what to do, instead of waiting for input."""
    monkeypatch.setattr(os, "isatty", lambda descriptor: True)
    with pytest.raises(SourceError, match="is a terminal; pipe"):
        pcm.open_pcm("-")


def test_an_incomplete_frame_ends_with_its_writer(tmp_path: Path) -> None:
    """The samples of the next writer are aligned again."""
    fifo = tmp_path / "raw"
    os.mkfifo(fifo)
    blocks = pcm.read_pcm(pcm.open_pcm(str(fifo)), 2, waits=True)
    assert len(next(blocks)) == 0
    for _ in range(2):
        with fifo.open("wb") as writer:
            writer.write(b"\x00\x40\x00\xc0" * 10 + b"\x01")
        assert next(blocks).tolist() == [[0.5, -0.5]] * 10
        assert len(next(blocks)) == 0  # the end of the writer
    blocks.close()
