"""Files and network streams, decoded by the real FFmpeg."""

import logging
import os
import re
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream
from av.stream import Disposition

from monitor.audio.inputs import media
from monitor.audio.inputs.media import Media, public_name
from monitor.errors import SourceError
from monitor.messages import Samples
from tests.parts.audio_file import tone, write_audio
from tests.parts.streams import camera, serving, web


def everything(opened: Media) -> Samples:
    """Concatenate all blocks."""
    return np.concatenate([block for block in opened.blocks() if len(block)])


def pitch(channel: Samples, rate: int) -> float:
    """The strongest frequency, Hertz."""
    return float(np.argmax(np.abs(np.fft.rfft(channel))) * rate / len(channel))


@pytest.mark.parametrize(
    ("name", "codec", "rate", "error"),
    [
        ("a.wav", "pcm_s16le", 44100, 1e-4),
        ("a.wav", "pcm_u8", 8000, 1e-2),
        ("a.wav", "pcm_s24le", 48000, 1e-6),
        ("a.wav", "pcm_s32le", 16000, 1e-6),
        ("a.wav", "pcm_f32le", 44100, 0),
        ("a.wav", "pcm_f64le", 44100, 1e-6),
        ("a.flac", "flac", 44100, 1e-4),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_lossless_formats_give_the_samples_that_were_written(
    tmp_path: Path, name: str, codec: str, rate: int, error: float, channels: int
) -> None:
    """Every sample and channel is decoded, at full scale 1 and the file's own rate."""
    written = tone(0.7, rate, 1000, 600)[:, :channels]
    opened = Media(str(write_audio(tmp_path / name, written, rate, codec)))
    assert (opened.rate, opened.channels) == (rate, channels)
    assert opened.duration == pytest.approx(0.7, abs=0.001)
    heard = everything(opened)
    assert heard.dtype == np.float32
    assert heard.shape == written.shape
    assert np.abs(heard - written).max() <= error


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [("a.ogg", "libopus", 48000), ("a.mp3", "libmp3lame", 44100), ("a.m4a", "aac", 44100)],
)
def test_lossy_formats_sound_the_same(tmp_path: Path, name: str, codec: str, rate: int) -> None:
    """The length is right within two frames of the codec, and each channel keeps its tone."""
    opened = Media(str(write_audio(tmp_path / name, tone(1, rate, 1000, 600), rate, codec)))
    assert (opened.rate, opened.channels) == (rate, 2)
    heard = everything(opened)
    assert len(heard) == pytest.approx(rate, abs=3000)
    assert pitch(heard[:, 0], rate) == pytest.approx(1000, abs=3)
    assert pitch(heard[:, 1], rate) == pytest.approx(600, abs=3)


def test_a_colon_or_any_byte_in_a_name_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is never taken for a protocol of FFmpeg."""
    plain = write_audio(tmp_path / "a.wav", tone(0.1, 8000, 440), 8000, "pcm_s16le")
    monkeypatch.chdir(tmp_path)
    plain.rename("http:é\udcff.wav")
    assert len(everything(Media("http:é\udcff.wav"))) == 800


def test_a_truncated_file_is_decoded_to_its_end(tmp_path: Path) -> None:
    """Half of a WAV file gives half of its sound and a regular end."""
    path = write_audio(tmp_path / "a.wav", tone(1, 8000, 440), 8000, "pcm_s16le")
    path.write_bytes(path.read_bytes()[:8000])
    heard = everything(Media(str(path)))
    assert 3900 < len(heard) < 4000


def test_damage_in_the_middle_is_omitted_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The sound on both sides of the damage is decoded."""
    path = write_audio(tmp_path / "a.mp3", tone(4, 44100, 440), 44100, "libmp3lame")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(2000)
    path.write_bytes(data)
    with caplog.at_level(logging.WARNING):
        heard = everything(Media(str(path)))
    assert 3.4 * 44100 < len(heard) < 4.2 * 44100
    assert "damaged packets" in caplog.text


def no_file(path: Path) -> None:
    """Leave the path without a file."""


def make_fifo(path: Path) -> None:
    """Make a FIFO, which would wait for a writer."""
    os.mkfifo(path)


def make_video(path: Path) -> None:
    """Write a film without sound."""
    with av.open(str(path), "w", format="avi") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 32, 32
        container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        container.mux(stream.encode(None))


def make_headers_only(path: Path) -> None:
    """Write a WAV file without a sample."""
    write_audio(path, tone(0.1, 8000, 440), 8000, "pcm_s16le")
    path.write_bytes(path.read_bytes()[:78])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (no_file, "No such file"),
        (Path.mkdir, "is a directory"),
        (Path.touch, "is empty"),
        (make_fifo, "not a regular file.*use pcm:"),
        (lambda path: path.write_bytes(np.random.default_rng(0).bytes(30_000)), "not audio in a known format"),
        (lambda path: path.write_text("hello\n" * 100), "not audio in a known format"),
        (make_video, "contains no audio, only video"),
        (make_headers_only, "none of its audio could be decoded|not audio"),
    ],
    ids=["missing", "directory", "empty", "fifo", "garbage", "text", "video", "headers"],
)
def test_an_error_names_a_file_that_is_not_audio(tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    """Each error names the file and says what is wrong with it."""
    path = tmp_path / "a.wav"
    make(path)
    with pytest.raises(SourceError, match=f"^{path}: .*{message}"):
        Media(str(path))


def test_tags_may_have_any_encoding(tmp_path: Path) -> None:
    """A tag in Latin-1 changes no sample."""
    path = write_audio(tmp_path / "a.wav", tone(0.1, 8000, 440), 8000, "pcm_s16le")
    before, data = everything(Media(str(path))), path.read_bytes()
    tag = b"INFOINAM" + struct.pack("<I", 6) + b"T\xfcr 1\0"
    path.write_bytes(data[:12] + b"LIST" + struct.pack("<I", len(tag)) + tag + data[12:])
    assert np.array_equal(everything(Media(str(path))), before)


@contextmanager
def standard_input(path: Path) -> Iterator[None]:
    """Read descriptor 0 from a pipe that holds this file."""
    before = os.dup(0)
    reader, writer = os.pipe()
    os.dup2(reader, 0)
    os.close(reader)
    thread = threading.Thread(target=_fill, args=(writer, path.read_bytes()))
    thread.start()
    try:
        yield
    finally:
        os.dup2(before, 0)
        os.close(before)
        thread.join()


def _fill(writer: int, data: bytes) -> None:
    with os.fdopen(writer, "wb") as pipe:
        pipe.write(data)


@pytest.mark.parametrize(("name", "codec"), [("a.wav", "pcm_s16le"), ("a.flac", "flac"), ("a.ogg", "libopus")])
def test_standard_input_is_a_file_where_pipes_are_allowed(tmp_path: Path, name: str, codec: str) -> None:
    """`-` gives the samples of the file that is piped in."""
    path = write_audio(tmp_path / name, tone(1, 48000, 440), 48000, codec)
    with standard_input(path):
        piped = Media("-", pipes=True)
        assert piped.name == "standard input"
        assert np.array_equal(everything(piped), everything(Media(str(path))))


def test_a_terminal_is_not_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a pipe the error says what to do, instead of waiting for input."""
    monkeypatch.setattr(os, "isatty", lambda descriptor: True)
    with pytest.raises(SourceError, match="standard input is a terminal; pipe an audio file into it"):
        Media("-", pipes=True)


def test_ffmpeg_prints_nothing(tmp_path: Path) -> None:
    """Nothing arrives on stderr, even for a damaged file: a display draws there."""
    path = write_audio(tmp_path / "a.mp3", tone(1, 44100, 440), 44100, "libmp3lame")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(3000) + data[len(data) // 2 :])
    script = f"from monitor.audio.inputs.media import Media; list(Media({str(path)!r}).blocks())"
    command = [sys.executable, "-c", "import logging; logging.disable(); " + script]
    result = subprocess.run(command, capture_output=True, timeout=60, check=True)
    assert result.stderr == b""


def test_a_file_over_http_has_a_duration(tmp_path: Path) -> None:
    """A finite body has a duration and is decoded whole."""
    path = write_audio(tmp_path / "a.wav", tone(0.5, 16000, 440), 16000, "pcm_s16le")
    with serving(web(path.read_bytes())) as address:
        opened = Media(f"http://{address}/a.wav")
        assert opened.duration == pytest.approx(0.5, abs=0.01)
        assert len(everything(opened)) == 8000


def test_a_stream_over_http_has_no_duration(tmp_path: Path) -> None:
    """The endless MP3 of a radio station has no duration."""
    path = write_audio(tmp_path / "a.mp3", tone(3, 44100, 440), 44100, "libmp3lame")
    hold = threading.Event()
    with serving(web(path.read_bytes()[2000:], length=False, hold=hold)) as address:
        opened = Media(f"http://{address}/radio.mp3")
        assert opened.duration is None
        blocks = opened.blocks()
        assert sum(len(next(blocks)) for _ in range(50)) > 40_000
        hold.set()
        blocks.close()


def test_a_silent_server_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening fails within its time limit, and the message contains no user, password or query."""
    monkeypatch.setattr(media, "START_TIMEOUT", 0.3)
    hold = threading.Event()
    with serving(web(b"", length=False, hold=hold)) as address:
        with pytest.raises(SourceError, match=f"^http://{address}/radio.mp3: stopped responding"):
            Media(f"http://user:secret@{address}/radio.mp3?token=secret")
        hold.set()


def test_a_stream_that_stops_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An open connection that delivers nothing is an error within the read limit."""
    monkeypatch.setattr(media, "READ_TIMEOUT", 0.3)
    path = write_audio(tmp_path / "a.mp3", tone(3, 44100, 440), 44100, "libmp3lame")
    hold = threading.Event()
    with serving(web(path.read_bytes(), length=False, hold=hold)) as address:
        opened = Media(f"http://{address}/radio.mp3")
        with pytest.raises(SourceError, match="stopped responding"):
            everything(opened)
        hold.set()


@pytest.mark.parametrize(("path", "message"), [("/missing", "404"), ("", "known format")])
def test_a_server_without_audio_is_an_error(path: str, message: str) -> None:
    """The message contains the answer of the server."""
    with serving(web(b"<html>hello</html>" * 1000)) as address, pytest.raises(SourceError, match=message):
        Media(f"http://{address}{path}")


@pytest.mark.parametrize("scheme", ["rtsp", "RTSP"])
def test_a_camera_is_decoded_over_rtsp(scheme: str) -> None:
    """RTSP works over one TCP connection, at the camera's own rate, whatever the case of the scheme."""
    with serving(camera(tone(2, 16000, 1000)[:, 0], 16000)) as address:
        opened = Media(f"{scheme}://user:secret@{address}/live")
        assert (opened.rate, opened.channels, opened.duration) == (16000, 1, None)
        assert pitch(everything(opened)[:, 0], 16000) == pytest.approx(1000, abs=5)


@pytest.mark.parametrize(
    ("location", "name"),
    [
        ("rtsp://user:p%40ss@cam.lan:554/live?token=1", "rtsp://cam.lan:554/live"),
        ("http://host/a.mp3", "http://host/a.mp3"),
        ("a@b?c.wav", "a@b?c.wav"),
    ],
)
def test_a_public_name_has_no_secrets(location: str, name: str) -> None:
    """A public name omits user, password and query of a URL; a path is unchanged."""
    assert public_name(location) == name


def write_tracks(path: Path, *tracks: tuple[Samples, float, bool], rate: int = 16000) -> Path:
    """Write a Matroska file whose audio tracks have samples, a start in seconds, and may be the default."""
    with av.open(str(path), "w") as container:
        streams = []
        for _, _, default in tracks:
            stream = container.add_stream("flac", rate=rate)
            assert isinstance(stream, AudioStream)
            stream.layout = "mono"
            if default:
                stream.disposition = Disposition.default
            streams.append(stream)
        for stream, (samples, start, _) in zip(streams, tracks, strict=True):
            for at in range(0, len(samples), 1024):
                block = np.round(samples[at : at + 1024].T * 32767).astype(np.int16)
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="s16", layout="mono")
                frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
                frame.pts = round(start * rate) + at
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


def test_the_default_track_is_taken_and_another_can_be_chosen(tmp_path: Path) -> None:
    """The track that the file marks as default is decoded, unless a number chooses another."""
    low, high = tone(1, 16000, 440), tone(1, 16000, 1000)
    path = str(write_tracks(tmp_path / "a.mkv", (low, 0, False), (high, 0, True)))
    assert pitch(everything(Media(path))[:, 0], 16000) == pytest.approx(1000, abs=3)
    assert pitch(everything(Media(path, track=1))[:, 0], 16000) == pytest.approx(440, abs=3)
    with pytest.raises(SourceError, match=r"a.mkv: has no audio track 3, only 2"):
        Media(path, track=3)


def test_audio_that_starts_late_has_its_time(tmp_path: Path) -> None:
    """The first block is at its own time; played, silence comes before it."""
    path = str(write_tracks(tmp_path / "a.mkv", (tone(12, 16000, 440), 0, False), (tone(1, 16000, 440), 10, True)))
    assert next(Media(path).timed()).at == pytest.approx(10, abs=0.002)
    played = np.concatenate(list(Media(path).blocks(holes=True)))
    assert np.argmax(np.abs(played[:, 0]) > 0.1) == pytest.approx(160_000, abs=100)
    assert len(everything(Media(path))) == pytest.approx(16_000, abs=10)


def test_a_change_of_rate_and_channels_is_a_new_piece(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Two MP3 files in one give both sounds, and the warning has the time of the change."""
    first = write_audio(tmp_path / "a.mp3", tone(3, 44100, 440, 440), 44100, "libmp3lame")
    second = write_audio(tmp_path / "b.mp3", tone(3, 16000, 1000), 16000, "libmp3lame")
    first.write_bytes(first.read_bytes() + second.read_bytes())
    blocks = [block for block in Media(str(first)).timed() if len(block.samples)]
    assert (blocks[0].rate, blocks[0].samples.shape[1]) == (44100, 2)
    assert (blocks[-1].rate, blocks[-1].samples.shape[1]) == (16000, 1)
    assert blocks[-1].end == pytest.approx(6, abs=0.3)
    changed = next(block for block in blocks if block.rate == 16000)
    assert changed.new
    assert changed.at == pytest.approx(3, abs=0.2)
    assert "changes at 0:03.0" in caplog.text


def test_a_chained_ogg_file_is_read_to_its_end(tmp_path: Path) -> None:
    """A second stream at another rate follows the first."""
    first = write_audio(tmp_path / "a.ogg", tone(2, 16000, 440, 440), 16000, "vorbis")
    second = write_audio(tmp_path / "b.ogg", tone(2, 44100, 1000, 1000), 44100, "vorbis")
    first.write_bytes(first.read_bytes() + second.read_bytes())
    heard = everything(Media(str(first)))[:, 0]
    assert len(heard) == pytest.approx(4 * 16000, abs=1000)
    assert pitch(heard[:28000], 16000) == pytest.approx(440, abs=2)
    assert pitch(heard[-28000:], 16000) == pytest.approx(1000, abs=2)


def test_a_late_error_has_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes before the error is decoded, and the message says where the file could not be read any more."""
    path = write_audio(tmp_path / "a.wav", tone(3, 16000, 440), 16000, "pcm_s16le")
    opened = Media(str(path))
    heard = 0.0
    blocks = opened.timed()
    while heard < 1:
        heard = next(blocks).end
    monkeypatch.setattr(opened, "_frames", failing_frames)
    with pytest.raises(SourceError, match=r"a.wav: cannot be read beyond 0:01\.0.: Input/output error"):
        next(blocks)


def failing_frames(*_: object) -> list[av.AudioFrame]:
    """A disk that fails."""
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize(
    ("name", "codec", "message"),
    [
        ("a.wav", "pcm_s16le", "its header claims 4.0 s, the file has 2.0 s"),
        ("a.flac", "flac", r"ends at 0:0[12]\.\d\d, its header claims 0:04.00: truncated?"),
    ],
)
def test_a_truncated_file_says_how_much_is_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, codec: str, message: str
) -> None:
    """The warning has the end and the duration that the header claims."""
    path = write_audio(tmp_path / name, tone(4, 8000, 440), 8000, codec)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    everything(Media(str(path)))
    assert re.search(message, caplog.text)


def test_digital_silence_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file without a single sound says so."""
    everything(Media(str(write_audio(tmp_path / "a.wav", 0 * tone(1, 8000, 440), 8000, "pcm_s16le"))))
    assert "a.wav: contains nothing but digital silence" in caplog.text
