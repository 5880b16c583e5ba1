"""Recording with the real PortAudio from a virtual microphone."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import sounddevice

from monitor.audio import microphone
from monitor.audio.microphone import DriverThread, Microphone, default_available, list_devices, recorder
from monitor.audio.ring import SampleRing
from monitor.errors import SourceError
from monitor.messages import Samples
from tests.parts.virtual_mic import VirtualMic


@pytest.fixture
def mic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VirtualMic]:
    """Plug in a virtual microphone that PortAudio finds in this process."""
    with VirtualMic(tmp_path) as virtual:
        for name, value in virtual.environment.items():
            monkeypatch.setenv(name, value)
        yield virtual


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until the condition holds; fail after this many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def recorded(mic: VirtualMic, capture: Microphone, played: Samples, rate: int) -> Samples:
    """Play a sound while recording; return what the ring holds of it and of the half second after it."""
    wait_for(lambda: capture.ring.written > 0)
    start = capture.ring.written
    mic.play(played, rate)
    end = start + round((len(played) / rate + 0.5) * capture.rate)
    wait_for(lambda: capture.ring.written >= end)
    return np.asarray(capture.ring.read(start, end - start).mean(axis=1))


def similarity(heard: Samples, played: Samples) -> float:
    """Return the correlation of the recording with what was played, at the best delay."""
    n = len(heard) + len(played)
    products = np.fft.irfft(np.fft.rfft(heard, n) * np.fft.rfft(played, n).conj(), n)
    at = int(np.argmax(products[: len(heard) - len(played)]))
    return float(np.corrcoef(heard[at : at + len(played)], played)[0, 1])


def test_the_ring_holds_what_was_played(mic: VirtualMic) -> None:
    """The recording correlates with the noise that is played, at the rate of the model."""
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(16000))
    spectrum[6000:] = 0  # resampling would remove this
    played = (0.1 * np.fft.irfft(spectrum)).astype(np.float32)
    capture = Microphone("", 16000)
    try:
        assert mic.recordings == 1
        assert (capture.rate, capture.live, capture.finished) == (16000, True, False)
        assert similarity(recorded(mic, capture, played, 16000), played) > 0.95
    finally:
        capture.close()


@pytest.mark.parametrize("wanted", [22050, 2_000_000])
def test_a_tone_keeps_its_pitch(mic: VirtualMic, wanted: int) -> None:
    """A 1 kHz tone has 1 kHz at the rate of the capture, even if the device refuses the requested rate."""
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(48000) / 48000)
    capture = Microphone("pulse", wanted)
    try:
        assert capture.rate == (wanted if wanted < 100_000 else 44100)
        heard = recorded(mic, capture, tone.astype(np.float32), 48000)
    finally:
        capture.close()
    pitch = np.argmax(np.abs(np.fft.rfft(heard))) * capture.rate / len(heard)
    assert pitch == pytest.approx(1000, abs=3)


def test_an_unplugged_microphone_fails_and_opens_again_when_replugged(mic: VirtualMic) -> None:
    """An unplugged microphone fails and closes at once; a new one opens when the device is back."""
    capture = Microphone("", 16000)
    wait_for(lambda: capture.ring.written > 0)
    mic.unplug()
    wait_for(lambda: capture.finished)
    assert isinstance(capture.failure, SourceError)
    written = capture.ring.written
    begun = time.monotonic()
    capture.close()
    assert time.monotonic() - begun < 2
    assert capture.ring.written == written
    with pytest.raises(SourceError, match="microphone default: cannot open"):
        Microphone("default", 16000)
    mic.replug()
    again = Microphone("default", 16000)
    wait_for(lambda: again.ring.written > 0)
    again.close()


def test_a_crashed_sound_server_is_a_failure(mic: VirtualMic) -> None:
    """When the sound server stops, the capture fails and no microphone is available."""
    assert default_available()
    capture = Microphone("", 16000)
    wait_for(lambda: capture.ring.written > 0)
    mic.stop()
    wait_for(lambda: capture.finished)
    assert "sound server" in str(capture.failure)
    capture.close()
    assert not default_available()
    with pytest.raises(SourceError, match="no microphone found"):
        Microphone("", 16000)


def test_a_frozen_sound_server_blocks_no_caller(mic: VirtualMic, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing and opening return within their limits while the server hangs, and work again afterwards."""
    monkeypatch.setattr(microphone, "ANSWER_TIMEOUT", 0.5)
    capture = Microphone("", 16000)
    wait_for(lambda: capture.ring.written > 0)
    mic.freeze()
    begun = time.monotonic()
    capture.close()
    with pytest.raises(SourceError, match="not answered"):
        Microphone("", 16000)
    assert time.monotonic() - begun < 5
    mic.thaw()
    wait_for(default_available)
    again = Microphone("", 16000)
    wait_for(lambda: again.ring.written > 0)
    again.close()


def test_what_opens_too_late_is_closed_again(mic: VirtualMic, monkeypatch: pytest.MonkeyPatch) -> None:
    """A microphone that opens after its timeout does not record."""
    assert default_available()
    monkeypatch.setattr(microphone, "ANSWER_TIMEOUT", 0.5)
    mic.freeze()
    with pytest.raises(SourceError, match="not answered"):
        Microphone("", 16000)
    mic.thaw()
    wait_for(default_available)
    wait_for(lambda: mic.recordings == 0)


def test_the_device_list_is_current(mic: VirtualMic) -> None:
    """The list has one default device, and is empty when the server has stopped."""
    assert [device.name for device in list_devices() if device.default] == ["default"]
    mic.stop()
    assert list_devices() == []


def test_two_microphones_record_at_once(mic: VirtualMic) -> None:
    """A second microphone opens and closes while the first one records."""
    first = Microphone("default", 16000)
    second = Microphone("pulse", 8000)
    wait_for(lambda: second.ring.written > 0)
    second.close()
    written = first.ring.written
    wait_for(lambda: first.ring.written > written)
    first.close()


def test_the_callback_writes_the_block_and_counts_lost_audio() -> None:
    """An overflow is counted, and its block is written as usual."""
    ring = SampleRing(10)
    record = recorder(ring)
    status = sounddevice.CallbackFlags()
    record(np.full((2, 1), 0.25, np.float32), 2, None, status)
    status.input_overflow = True
    record(np.full((3, 1), 0.5, np.float32), 3, None, status)
    assert ring.read(0, 5)[:, 0].tolist() == [0.25, 0.25, 0.5, 0.5, 0.5]
    assert ring.overflows == 1


def test_without_portaudio_the_error_names_the_package() -> None:
    """Opening a microphone without the library says what to install."""
    script = """
import ctypes.util
ctypes.util.find_library = lambda name: None
from monitor.audio.spec import opener, parse_spec
from monitor.errors import SourceError
try:
    opener(parse_spec("mic"), 16000)()
except SourceError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert "apt-get install libportaudio2" in result.stdout


def test_a_job_returns_or_raises_to_its_caller() -> None:
    """The caller gets result or error, and an error does not end the thread."""
    worker = DriverThread("test")
    with pytest.raises(ZeroDivisionError):
        worker.call(lambda: 1 / 0, 10)
    assert worker.call(threading.current_thread, 10).name == "test"


def test_a_hanging_job_is_abandoned_and_undone_when_it_ends() -> None:
    """The caller gets a timeout, jobs queued behind it are cancelled, and `abandoned` runs when it ends."""
    worker = DriverThread("test")
    answered, undone, late = threading.Event(), threading.Event(), threading.Event()
    with pytest.raises(TimeoutError):
        worker.call(answered.wait, 0.05, abandoned=undone.set)
    with pytest.raises(TimeoutError):
        worker.call(late.set, 0.05)
    assert not undone.is_set()
    answered.set()
    assert undone.wait(10)
    worker.call(lambda: None, 10)
    assert not late.is_set()
