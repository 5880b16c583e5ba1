"""Recording with the real PortAudio from a virtual microphone, and with one that crashes or hangs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from monitor.audio.inputs import microphone
from monitor.audio.inputs.microphone import Microphone, Recorder, default_available, list_devices
from monitor.audio.spec import opener, parse_spec
from monitor.errors import SourceError
from monitor.messages import Samples
from tests.parts.virtual_mic import VirtualMic

pytestmark = pytest.mark.real


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
    monkeypatch.setattr(microphone, "ANSWER_TIMEOUT", 2.0)
    capture = Microphone("", 16000)
    wait_for(lambda: capture.ring.written > 0)
    mic.freeze()
    begun = time.monotonic()
    capture.close()
    assert time.monotonic() - begun < 1
    with pytest.raises(SourceError, match="not answered"):
        Microphone("", 16000)
    assert time.monotonic() - begun < 5
    mic.thaw()
    wait_for(default_available)
    again = Microphone("", 16000)
    wait_for(lambda: again.ring.written > 0)
    again.close()


def test_a_microphone_that_opens_too_late_does_not_record(mic: VirtualMic, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process of a microphone that does not answer in time is gone."""
    monkeypatch.setattr(microphone, "ANSWER_TIMEOUT", 2.0)
    mic.freeze()
    with pytest.raises(SourceError, match="not answered"):
        Microphone("", 16000)
    mic.thaw()
    wait_for(default_available)
    assert mic.recordings == 0


def test_a_suspended_microphone_costs_nothing(mic: VirtualMic) -> None:
    """While the sound server has suspended the device, nothing arrives and no processor time is used."""
    capture = Microphone("", 16000)
    try:
        wait_for(lambda: capture.ring.written > 0)
        mic.suspend(True)
        time.sleep(0.5)
        written, used = capture.ring.written, processor_time(capture)
        time.sleep(3)
        assert capture.ring.written == written
        assert processor_time(capture) - used < 0.1
        assert capture.failure is None
        mic.suspend(False)
        wait_for(lambda: capture.ring.written > written, 2)
    finally:
        capture.close()


def processor_time(capture: Microphone) -> float:
    """Return the seconds of processor time that the recorder has used."""
    stat = Path(f"/proc/{capture._recorder.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def test_a_recording_that_the_sound_server_moves_says_so(mic: VirtualMic, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device names the sound server's source that the samples come from, also after a move or while suspended."""
    monkeypatch.setattr(microphone, "FOLLOW", 0.1)
    capture = Microphone("", 16000)
    try:
        assert capture.device == "default (ALSA), Remapped Monitor of Null Output"
        mic.suspend(True)
        wait_for(lambda: capture.device.endswith("(suspended)"))
        mic.suspend(False)
        mic.move()
        wait_for(lambda: capture.device == "default (ALSA), Monitor of Null Output")
        mic.freeze()
        time.sleep(1.5)
        assert capture.device == "default (ALSA), Monitor of Null Output"
    finally:
        capture.close()
        mic.thaw()


def test_a_number_means_the_device_that_it_meant_at_first(library: Path) -> None:
    """A microphone that was chosen by its number does not become another one when the numbers change."""
    driver(library)
    open_again = opener(parse_spec("mic:0"), 16000)
    open_again().close()
    (library / "sounddevice.py").write_text((library / "sounddevice.py").read_text().replace('"fake"', '"webcam"'))
    with pytest.raises(SourceError, match="device 0 was 'fake': it is gone"):
        open_again()


def test_the_device_list_is_current(mic: VirtualMic) -> None:
    """The list has one default device, and is empty when the server has stopped."""
    assert [device.name for device in list_devices() if device.default] == ["default"]
    mic.stop()
    assert list_devices() == []


def test_a_microphone_that_appears_is_found_while_another_records(
    mic: VirtualMic, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second device opens although it was absent when the first one started to record."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("second")
    monkeypatch.setenv("HOME", str(home))
    first = Microphone("", 16000)
    with pytest.raises(SourceError, match="no device has this name"):
        Microphone("attic", 16000)
    with VirtualMic(folder) as late:
        server = late.environment["PULSE_SERVER"]
        (home / ".asoundrc").write_text(
            f'pcm.attic {{ type pulse server "{server}" hint {{ show on description "attic" }} }}\n'
        )
        second = Microphone("attic", 16000)
        wait_for(lambda: second.ring.written > 0)
        assert (mic.recordings, late.recordings) == (1, 1)
        late.freeze()
        written = first.ring.written
        wait_for(lambda: first.ring.written > written)
        second.close()
        late.thaw()
    first.close()


def test_two_microphones_record_at_once(mic: VirtualMic) -> None:
    """A second microphone opens and closes while the first one records."""
    first = Microphone("default", 16000)
    second = Microphone("pulse", 8000)
    wait_for(lambda: second.ring.written > 0)
    second.close()
    written = first.ring.written
    wait_for(lambda: first.ring.written > written)
    first.close()


DRIVER = """
import os, time
class PortAudioError(Exception): pass
class default: device = (0, 0)
def query_devices():
    {listing}
    return [dict(index=0, name="fake", hostapi=0, max_input_channels=1, default_samplerate=16000.0)]
def query_hostapis(index): return dict(name="none")
class RawInputStream:
    def __init__(self, **options): pass
    def start(self): {start}
    @property
    def read_available(self):
        {reading}
        return 0
"""


def driver(folder: Path, listing: str = "pass", start: str = "pass", reading: str = "pass") -> None:
    """Write a `sounddevice` that runs these statements."""
    (folder / "sounddevice.py").write_text(DRIVER.format(listing=listing, start=start, reading=reading))


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder whose modules the recorder imports first."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def test_without_portaudio_the_error_names_the_package(library: Path) -> None:
    """Opening a microphone without the library says what to install."""
    (library / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    with pytest.raises(SourceError, match="apt-get install libportaudio2"):
        Microphone("", 16000)


@pytest.mark.parametrize(
    ("place", "what", "message"),
    [
        ("listing", "os.abort()", "SIGABRT"),
        ("start", "os.abort()", "cannot open 0 'fake': .*SIGABRT"),
        ("start", "raise PortAudioError('Device unavailable', -9985)", "cannot open 0 'fake': .*Device unavailable"),
        ("listing", "time.sleep(60)", "not answered for 0.5 s"),
        ("start", "time.sleep(60)", "not answered for 0.5 s"),
    ],
)
def test_a_driver_that_crashes_or_hangs_is_an_error(
    library: Path, monkeypatch: pytest.MonkeyPatch, place: str, what: str, message: str
) -> None:
    """Whatever happens in the driver, the monitor gets a `SourceError`, and no process stays."""
    monkeypatch.setattr(microphone, "ANSWER_TIMEOUT", 0.5 if "sleep" in what else 20.0)
    driver(library, **{place: what})
    with pytest.raises(SourceError, match=message):
        Microphone("", 16000)


@pytest.mark.parametrize(
    ("crash", "message"),
    [
        ("os.abort()", "fake (none): the recorder was ended by SIGABRT"),
        ("raise PortAudioError('Unanticipated host error', -9999)", "fake (none): unplugged, or its sound server has "),
    ],
)
def test_a_driver_that_crashes_while_it_records_is_a_failure(library: Path, crash: str, message: str) -> None:
    """A crash or an error of the driver while it records ends the capture, and the failure says why."""
    driver(library, reading=f"time.sleep(0.3); {crash}")
    capture = Microphone("", 16000)
    assert capture.failure is None
    wait_for(lambda: capture.finished)
    assert message in str(capture.failure)
    capture.close()
    assert capture.failure is not None


def test_signals_for_the_monitor_do_not_end_a_recorder(library: Path) -> None:
    """A SIGTERM to all processes of the service, or a Ctrl-C, leaves it to the monitor to end its microphones."""
    driver(library)
    capture = Microphone("", 16000)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        capture._recorder._process.send_signal(number)
    time.sleep(0.3)
    assert capture.failure is None
    capture.close()


@pytest.mark.parametrize("reading", ["pass", "time.sleep(60)"])
def test_a_recorder_ends_with_the_monitor(library: Path, reading: str) -> None:
    """The recorder of a monitor that is killed ends by itself, even while the driver hangs."""
    driver(library, reading=reading)
    script = """
import time
from monitor.audio.inputs.microphone import Microphone
microphone = Microphone("", 16000)
print(microphone._recorder.pid, flush=True)
time.sleep(60)
"""
    monitor = subprocess.Popen(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": f"{library}:{Path(__file__).parents[3]}"},
        stdout=subprocess.PIPE,
    )
    assert monitor.stdout is not None
    recorder = int(monitor.stdout.readline())
    assert alive(recorder)
    monitor.kill()
    monitor.communicate()
    wait_for(lambda: not alive(recorder), 5)


def alive(pid: int) -> bool:
    """Return whether the process runs; one that has ended may not have been reaped yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_no_descriptor_stays_open(library: Path) -> None:
    """Opening and closing, also of a device that fails, leaves no descriptor behind."""
    driver(library)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        capture = Microphone("", 16000)
        capture.close()
        capture.close()
        with Recorder() as recorder:
            assert [device.name for device in recorder.devices] == ["fake"]
        with pytest.raises(SourceError, match="no device has this name"):
            Microphone("other", 16000)
    del capture
    assert len(list(Path("/proc/self/fd").iterdir())) == before
