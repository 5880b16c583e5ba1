"""Source specifications, and what they open."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitor.audio.inputs.capture import Capture
from monitor.audio.spec import SourceKind, SourceSpec, default_name, opener, parse_spec
from monitor.errors import ConfigError, SourceError
from tests.parts.audio_file import tone, write_audio
from tests.parts.streams import camera, serving, web


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds; fail after 20 s."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("text", "spec", "name"),
    [
        ("mic", SourceSpec(SourceKind.MICROPHONE), "mic"),
        ("mic:USB Audio: 1", SourceSpec(SourceKind.MICROPHONE, "USB Audio: 1"), "mic-USB-Audio-1"),
        ("mic:3", SourceSpec(SourceKind.MICROPHONE, "3"), "mic-3"),
        ("demo", SourceSpec(SourceKind.DEMO), "demo"),
        ("./demo", SourceSpec(SourceKind.FILE, "./demo"), "demo"),
        ("/tmp/Front Door.wav", SourceSpec(SourceKind.FILE, "/tmp/Front Door.wav"), "Front-Door"),  # noqa: S108
        ("mic:s/a.wav"[4:], SourceSpec(SourceKind.FILE, "s/a.wav"), "a"),
        ("/été/é.wav", SourceSpec(SourceKind.FILE, "/été/é.wav"), "file"),
        ("pcm:-", SourceSpec(SourceKind.PCM, "-"), "stdin"),
        ("pcm:-@48000", SourceSpec(SourceKind.PCM, "-", 48000), "stdin"),
        ("pcm:/run/a@b.fifo@8000x2", SourceSpec(SourceKind.PCM, "/run/a@b.fifo", 8000, 2), "a-b"),
        ("RTSP://Cam/live", SourceSpec(SourceKind.URL, "RTSP://Cam/live"), "cam-live"),
        ("rtsp://u:p@cam.lan:554/live", SourceSpec(SourceKind.URL, "rtsp://u:p@cam.lan:554/live"), "cam-lan-live"),
        ("udp://@:5004", SourceSpec(SourceKind.URL, "udp://@:5004"), "url"),
    ],
)
def test_every_form_is_parsed(text: str, spec: SourceSpec, name: str) -> None:
    """Each form gives its spec, and a name that is valid in a topic."""
    assert parse_spec(text) == spec
    assert default_name(spec) == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mick", r"did you mean 'mic'\?"),
        ("Demo", r"did you mean 'demo'\?"),
        ("", "is not a source"),
        ("mic:", r"did you mean 'mic'\?"),
        ("pcm:", "has no path"),
        ("pcm:-@fast", "has no path, or an invalid rate"),
        ("pcm:-@999", "outside 1000 to 384000"),
        ("pcm:-@16000x0", "1 to 32 channels"),
        ("ftp://host/a.wav", "unknown scheme; known: rtsp, rtsps, http, https, rtmp, udp"),
        ("rstp://host/a", "unknown scheme; did you mean 'rtsp'"),
        ("http:///a.wav", "has no host"),
        ("http://[bad/", "is not a URL"),
        ("a\0.wav", "is not a source"),
    ],
)
def test_an_error_lists_the_forms(text: str, message: str) -> None:
    """The error says what is wrong and lists all valid forms."""
    with pytest.raises(ConfigError, match=message) as caught:
        parse_spec(text)
    assert "pcm:PATH[@RATE[xCHANNELS]]" in str(caught.value)


def test_help_can_show_the_forms_without_numpy() -> None:
    """Importing the specifications loads neither NumPy nor an audio library."""
    script = "import sys, monitor.audio.spec; print([m for m in ('numpy', 'av', 'sounddevice') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout == "[]\n"


@given(st.text() | st.from_regex(r"(mic|pcm|demo|rtsp|http|udp)(:|://)?.{0,20}(@\d+(x\d+)?)?"))
@example("http://[::1")
@example("pcm:-@١٦٠٠٠")
def test_any_text_is_a_source_with_a_name_or_a_plain_error(text: str) -> None:
    """Any text gives a `ConfigError` or a source whose name is valid in a topic."""
    try:
        spec = parse_spec(text)
    except ConfigError:
        return
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", default_name(spec))


@pytest.mark.parametrize(
    ("text", "loop", "expected"),
    [
        ("mic", False, True),
        ("rtsp://cam/live", False, True),
        ("demo", False, True),
        ("a.wav", False, False),
        ("a.wav", True, True),
        ("http://box/stream.wav", False, True),
        ("pcm:-", True, False),
    ],
)
def test_only_sources_that_can_come_back_restart(text: str, loop: bool, expected: bool) -> None:
    """A device or stream is opened again, a file only when it loops, a pipe never."""
    assert parse_spec(text).restarts(loop) is expected


def open_now(text: str, loop: bool = False, live: bool = True) -> Capture:
    """Parse and open a source."""
    return opener(parse_spec(text), 16000, loop, live=live)()


def test_a_file_plays_in_real_time_and_ends(tmp_path: Path) -> None:
    """A file is live, at its own rate and channels, and its end is no failure."""
    path = write_audio(tmp_path / "a.wav", tone(0.4, 22050, 440, 550), 22050, "pcm_s16le")
    begun = time.monotonic()
    capture = open_now(str(path))
    assert (capture.live, capture.rate, capture.ring.channels, capture.device) == (True, 22050, 2, str(path))
    wait_for(lambda: capture.finished)
    assert time.monotonic() - begun >= 0.4
    assert capture.failure is None
    assert capture.ring.written == 8820


def test_a_looped_file_has_no_gap(tmp_path: Path) -> None:
    """The first sample follows the last one."""
    path = write_audio(tmp_path / "a.wav", tone(0.1, 16000, 300), 16000, "pcm_s16le")
    capture = open_now(str(path), loop=True)
    wait_for(lambda: capture.ring.written >= 4800)
    capture.close()
    rounds = capture.ring.read(0, 4800).reshape(3, 1600)
    assert np.array_equal(rounds[0], rounds[1])
    assert np.array_equal(rounds[0], rounds[2])
    assert capture.failure is None


def test_a_missing_file_is_an_error_at_opening() -> None:
    """The path of a missing file is valid; opening it raises an error that names it."""
    with pytest.raises(SourceError, match=r"none\.wav: No such file"):
        open_now("none.wav")


def test_raw_samples_come_without_loss_from_a_fifo(tmp_path: Path) -> None:
    """A FIFO is not live: its writer waits, and after its end another one may follow."""
    fifo = tmp_path / "raw"
    os.mkfifo(fifo)
    capture = open_now(f"pcm:{fifo}@8000x2")
    assert (capture.live, capture.rate, capture.ring.channels) == (False, 8000, 2)
    for writer in (1, 2):  # the second may come before the end of the first is seen, so only it ends within a frame
        fifo.write_bytes(b"\x00\x40\x00\xc0" * 100 + b"\x01" * (writer - 1))
        wait_for(lambda writer=writer: capture.ring.written == 100 * writer)  # type: ignore[misc]
    assert capture.ring.read(0, 200).tolist() == [[0.5, -0.5]] * 200
    assert not capture.finished
    capture.close()
    assert capture.failure is None


def test_an_unnamed_pipe_ends_with_its_writer() -> None:
    """Nobody can open it again."""
    reader, writer = os.pipe()
    capture = open_now(f"pcm:/dev/fd/{reader}@8000")
    os.write(writer, b"\x00\x40" * 100)
    os.close(writer)
    wait_for(lambda: capture.finished)
    os.close(reader)
    assert capture.failure is None
    assert capture.ring.written == 100


def test_a_waiting_pipe_closes_at_once(tmp_path: Path) -> None:
    """`close` does not wait for a writer."""
    fifo = tmp_path / "raw"
    os.mkfifo(fifo)
    capture = open_now(f"pcm:{fifo}")
    capture.close()
    assert capture.finished
    assert capture.failure is None


def test_a_recording_over_http_is_played_once_when_the_configuration_says_so(tmp_path: Path) -> None:
    """With `live: false` a file over HTTP plays in real time, ends without a failure, and is not opened again."""
    path = write_audio(tmp_path / "a.wav", tone(0.2, 16000, 440), 16000, "pcm_s16le")
    with serving(web(path.read_bytes())) as address:
        capture = open_now(f"http://{address}/a.wav", live=False)
        wait_for(lambda: capture.finished)
    assert capture.failure is None
    assert capture.ring.written == 3200
    assert not parse_spec(f"http://{address}/a.wav").restarts(False, live=False)


@pytest.mark.parametrize("length", [True, False])
def test_a_recording_is_not_taken_for_live_sound(tmp_path: Path, length: bool) -> None:
    """A server that sends all at once plays a recording, with a length or without: a loss, and not a sample of it."""
    path = write_audio(tmp_path / "a.mp3", tone(6, 16000, 440), 16000, "libmp3lame")
    with serving(web(path.read_bytes(), length=length)) as address:
        capture = open_now(f"http://{address}/a.mp3")
        wait_for(lambda: capture.finished)
    assert not length or "a recording, not live sound: the server sends all at once" in str(capture.failure)
    assert capture.failure is not None
    assert capture.ring.written == 0


def test_a_live_stream_may_claim_a_length(tmp_path: Path) -> None:
    """A box that claims hours of audio and ends after four seconds is lost, and would be opened again."""
    path = write_audio(tmp_path / "a.wav", tone(4, 16000, 440), 16000, "pcm_s16le")
    data = path.read_bytes()
    at = data.index(b"data") + 4
    data = data[:at] + (0x7FFFFFFF).to_bytes(4, "little") + data[at + 4 :]
    with serving(web(data, pace=32_000)) as address:
        capture = open_now(f"http://{address}/a.wav")
        wait_for(lambda: capture.finished)
    assert "the stream ended" in str(capture.failure)
    assert capture.ring.written > 16_000


def test_a_recording_in_real_time_is_played_only_once(tmp_path: Path) -> None:
    """A stream that ends where its header says, and begins again with the same length, is refused."""
    path = write_audio(tmp_path / "a.wav", tone(2, 16000, 440), 16000, "pcm_s16le")
    with serving(web(path.read_bytes(), pace=32_000)) as address:
        reopen = opener(parse_spec(f"http://{address}/a.wav"), 16000)
        capture = reopen()
        wait_for(lambda: capture.finished)
        assert "the stream ended" in str(capture.failure)
        with pytest.raises(SourceError, match="plays the same 2 s again; set live: false"):
            reopen()


def test_the_end_of_a_live_stream_is_a_loss() -> None:
    """The end of a camera's stream is a failure, and the source is opened again."""
    with serving(camera(tone(1.5, 16000, 440)[:, 0], 16000)) as address:
        capture = open_now(f"rtsp://user:secret@{address}/live")
        wait_for(lambda: capture.finished)
    assert capture.ring.written > 8000
    assert str(capture.failure) == f"rtsp://{address}/live: the stream ended"


def test_older_sound_that_a_station_sends_at_first_is_not_new(tmp_path: Path) -> None:
    """Of eight seconds that arrive at once, only the newest is played; what follows arrives in real time."""
    path = write_audio(tmp_path / "a.mp3", tone(12, 16000, 440), 16000, "libmp3lame")
    data = path.read_bytes()[500:]
    with serving(web(data, length=False, burst=len(data) * 2 // 3, pace=len(data) // 12)) as address:
        begun = time.monotonic()
        capture = open_now(f"http://{address}/radio.mp3")
        wait_for(lambda: capture.ring.written > 32_000)
        assert capture.ring.written / 16000 <= 1.5 + time.monotonic() - begun
        capture.close()


def test_the_demonstration_opens() -> None:
    """The demonstration is live and has no end."""
    capture = open_now("demo")
    wait_for(lambda: capture.ring.written > 0)
    assert (capture.live, capture.rate, capture.finished) == (True, 16000, False)
    capture.close()


def test_a_channel_that_a_source_lacks_is_refused(tmp_path: Path) -> None:
    """The message has the number of channels."""
    path = write_audio(tmp_path / "a.wav", tone(0.2, 16000, 440), 16000, "pcm_s16le")
    with pytest.raises(SourceError, match=r"a.wav: there is no channel 2, only 1"):
        opener(parse_spec(str(path)), 16000, channel=2)()
