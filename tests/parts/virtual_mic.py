"""A microphone without hardware: a private PulseAudio whose loudspeaker is looped back into a recording device."""

import ctypes.util
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from monitor.messages import Samples

SPEAKER = "module-null-sink sink_name=speaker rate=48000 channels=2 norewinds=1"  # rewinding means blocks of 2 s
MICROPHONE = "module-remap-source master=speaker.monitor source_name=microphone rate=48000 channels=1 remix=yes"


class VirtualMic:
    """PulseAudio with its files in `folder`; PortAudio sees it while `environment` is set.

    Skips the test where a program or library is missing.
    """

    def __init__(self, folder: Path) -> None:
        for program in ("pulseaudio", "pactl", "pacat"):
            if shutil.which(program) is None:
                pytest.skip(f"needs {program} (apt install pulseaudio pulseaudio-utils)")
        if ctypes.util.find_library("portaudio") is None:
            pytest.skip("needs PortAudio (apt install libportaudio2)")
        if not list(Path("/usr/lib").glob("**/alsa-lib/libasound_module_pcm_pulse.so")):
            pytest.skip("needs ALSA's PulseAudio plugin (apt install libasound2-plugins)")
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._socket = folder / "native"
        files = dict.fromkeys(("PULSE_RUNTIME_PATH", "PULSE_STATE_PATH", "PULSE_CONFIG_PATH"), str(folder))
        self.environment = {"PULSE_SERVER": f"unix:{self._socket}", **files}

    def start(self) -> None:
        """Start the server with the microphone plugged in; return when it answers."""
        native = f"module-native-protocol-unix socket={self._socket} auth-anonymous=1"
        options = ["-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--disable-shm=yes"]
        options += ["--realtime=no", "--high-priority=no", "-L", native]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["pulseaudio", *options], env=os.environ | self.environment, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 20
        while not self._socket.exists() or self._control("info").returncode:
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError("pulseaudio did not start: " + (self._folder / "log").read_text())
            time.sleep(0.02)
        self.replug()

    def stop(self) -> None:
        """Kill the server, as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self._socket.unlink(missing_ok=True)

    def unplug(self) -> None:
        """Remove the microphone; the server stays."""
        for module in ("module-remap-source", "module-null-sink"):
            self._control("unload-module", module).check_returncode()

    def replug(self) -> None:
        """Add the microphone again."""
        for module in (SPEAKER, MICROPHONE):
            self._control("load-module", *module.split()).check_returncode()
        self._control("set-default-source", "microphone").check_returncode()

    def suspend(self, suspended: bool) -> None:
        """Let the server suspend or resume the microphone: it stays open and delivers nothing."""
        self._control("suspend-source", "microphone", str(int(suspended))).check_returncode()

    def move(self) -> None:
        """Let the server move the recording from the microphone to what a second loudspeaker plays."""
        self._control("load-module", "module-null-sink", "sink_name=other").check_returncode()
        outputs = self._control("list", "short", "source-outputs").stdout.decode().splitlines()
        (ours,) = [line.split()[0] for line in outputs if "protocol-native" in line]
        self._control("move-source-output", ours, "other.monitor").check_returncode()

    def freeze(self) -> None:
        """Stop the server process, so that it hangs."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume the server after `freeze`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @property
    def recordings(self) -> int:
        """Return the number of programs that record from it."""
        return self._control("list", "short", "source-outputs").stdout.count(b"protocol-native")

    def play(self, samples: Samples, rate: int) -> None:
        """Play float32[n] into the microphone, and wait for the end."""
        form = ["--raw", "--format=float32le", "--channels=1", f"--rate={rate}", "--device=speaker"]
        subprocess.run(
            ["pacat", "--playback", *form],
            input=samples.astype("<f4").tobytes(),
            env=os.environ | self.environment,
            check=True,
            timeout=60,
        )

    def _control(self, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
        environment = os.environ | self.environment
        return subprocess.run(["pactl", *arguments], env=environment, capture_output=True, timeout=20, check=False)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
