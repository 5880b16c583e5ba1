"""Microphones: each has a process of its own, in which PortAudio runs (`recorder.py`).

A sound server that hangs also hangs PortAudio, a driver may crash it, and it looks for devices only when it starts. In
its own process, which the monitor can kill at any time, all that harms one microphone.
"""

import contextlib
import json
import logging
import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from monitor.audio.inputs.devices import InputDevice, choose, choose_again
from monitor.audio.inputs.server import SUSPENDED, recorded_source
from monitor.audio.ring import RING_SECONDS, SampleRing
from monitor.errors import SourceError

log = logging.getLogger(__name__)

RECORDER = Path(__file__).with_name("recorder.py")
ANSWER_TIMEOUT = 5.0
"""Seconds to wait for an answer of the recorder."""
FOLLOW = 10.0
"""Seconds between two questions to the sound server which source it records from."""
KILL_TIMEOUT = 1.0
"""Seconds to wait for the end of a recorder that is killed: a driver may hold it in the kernel."""


class Recorder:
    """A running recorder, and the devices that it has found."""

    devices: list[InputDevice]
    """All devices that can record now."""

    def __init__(self) -> None:
        """Start the process. Raises `SourceError`."""
        self._memory = os.memfd_create("sound-monitor")
        self._noise, noise = os.pipe2(os.O_NONBLOCK)
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(ANSWER_TIMEOUT)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this program and a file of its own
                [sys.executable, "-P", str(RECORDER)],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=noise,
                pass_fds=(self._memory,),
                start_new_session=True,  # a terminal's Ctrl-C is for the monitor
            )
        except OSError as error:
            self._close()
            raise SourceError(f"cannot start a process for it: {error.strerror}") from error
        finally:
            theirs.close()
            os.close(noise)
        self._received, self._killing = b"", threading.Lock()
        try:
            self.devices = [InputDevice(**device) for device in self._answer()["devices"]]
        except BaseException:
            self.kill()
            raise

    def record(self, device: InputDevice, rate: int, most: int) -> tuple[SampleRing, int]:
        """Return the ring that the recorder fills, and its rate: `rate`, or the default one if the device refuses it.

        The ring has `most` channels, or all of the device if it has fewer. Raises `SourceError`.
        """
        channels = min(device.channels, most)
        rates = [rate, device.rate]
        request = {"memory": self._memory, "seconds": RING_SECONDS, "rates": rates}
        request |= {"device": device.index, "channels": channels}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            answer = self._answer()
        except (SourceError, OSError) as error:
            raise SourceError(f"cannot open {device.index} {device.name!r}: {error}") from error
        return SampleRing(answer["capacity"], channels, mmap.mmap(self._memory, 0)), answer["rate"]

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def failure(self) -> str:
        """Why the recorder has ended; empty while it runs."""
        if self._process.poll() is None:
            return ""
        try:
            self._answer()
        except SourceError as error:
            return str(error)
        return "the recorder has ended"

    @property
    def crashed(self) -> bool:
        """Whether a signal has ended the process."""
        return (self._process.poll() or 0) < 0

    def kill(self) -> None:
        """End the process at once, whatever it does. A second call does nothing."""
        with self._killing:
            if self._memory >= 0:
                self._kill()

    def _kill(self) -> None:
        self._process.kill()
        try:
            self._process.wait(KILL_TIMEOUT)
        except subprocess.TimeoutExpired:
            log.warning("a microphone's driver holds the process %d, which cannot be killed", self._process.pid)
        with contextlib.suppress(BlockingIOError):
            for line in os.read(self._noise, 65536).splitlines():
                log.debug("%s", line.decode(errors="replace").strip())
        self._close()

    def _close(self) -> None:
        self._socket.close()
        os.close(self._noise)
        os.close(self._memory)
        self._memory = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _answer(self) -> dict[str, Any]:
        """Return the next line that the recorder writes. Raises `SourceError`, also for an error that it reports."""
        while b"\n" not in self._received:
            try:
                more = self._socket.recv(65536)
            except TimeoutError as error:
                raise SourceError(
                    f"the sound server has not answered for {ANSWER_TIMEOUT:g} s; if it is frozen, restart it"
                ) from error
            if not more:
                raise SourceError(self._obituary())
            self._received += more
        line, _, self._received = self._received.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise SourceError(answer["error"])
        return answer

    def _obituary(self) -> str:
        try:
            code = self._process.wait(KILL_TIMEOUT)
        except subprocess.TimeoutExpired:
            return "the recorder does not answer"
        if code >= 0:
            return f"the recorder ended with code {code}"
        return f"the recorder was ended by {signal.Signals(-code).name}"


class Microphone:
    """A capture whose ring is filled by a recorder."""

    live = True
    current = True

    def __init__(self, wanted: str, rate: int, before: InputDevice | None = None, *, channels: int = 2) -> None:
        """Record from the device that `choose` finds, at `rate` (Hertz) or, if it refuses, at its default rate.

        A number that stood for the device `before` still means that one. At most `channels` are recorded. Raises
        `SourceError`.
        """
        self._failure: SourceError | None = None
        self._closing = threading.Event()
        try:
            self._recorder = Recorder()
            try:
                devices = self._recorder.devices
                chosen = choose_again(before, devices) if before and wanted.isdecimal() else choose(wanted, devices)
                self.chosen = chosen
                self._device, self._source = f"{chosen.name} ({chosen.host_api})", ""
                self.ring, self.rate = self._recorder.record(chosen, rate, channels)
            except BaseException:
                self._recorder.kill()
                raise
        except SourceError as error:
            raise SourceError(f"microphone {wanted or '(default)'}: {error}") from error
        if source := recorded_source(self._recorder.pid):
            self._source = source
            threading.Thread(target=self._follow, name=f"follow {chosen.name}", daemon=True).start()

    @property
    def device(self) -> str:
        """Name of the device, and of the sound server's source behind it if known, which may change."""
        return f"{self._device}, {self._source}" if self._source else self._device

    def _follow(self) -> None:
        """Keep the source up to date."""
        while not self._closing.wait(FOLLOW / 4 if self._source.endswith(SUSPENDED) else FOLLOW):
            self._source = recorded_source(self._recorder.pid) or self._source

    @property
    def finished(self) -> bool:
        """The recorder has ended."""
        return self._closing.is_set() or self.failure is not None

    @property
    def failure(self) -> Exception | None:
        """Set when PortAudio ends the stream; a sound server that hangs is not noticed here."""
        if self._failure is None and not self._closing.is_set() and (reason := self._recorder.failure):
            log.debug("%s: %s", self.device, reason)
            if not self._recorder.crashed:  # PortAudio itself says no more than "host error"
                reason = "unplugged, or its sound server has stopped"
            self._failure = SourceError(f"{self.device}: {reason}")
        return self._failure

    def consumed(self, frames: int) -> None:
        """Do nothing: a microphone does not wait for its reader."""

    def close(self) -> None:
        """Free the device by ending its process."""
        self._closing.set()
        self._recorder.kill()


def list_devices() -> list[InputDevice]:
    """Return all devices that can record now. Raises `SourceError`."""
    with Recorder() as recorder:
        return recorder.devices


def default_available() -> bool:
    """Return whether a default microphone is available."""
    try:
        return any(device.default for device in list_devices())
    except SourceError:
        return False
