"""Microphones, through PortAudio.

PortAudio's calls are not thread-safe, and hang for as long as a sound server does. So one thread makes all of them, and
callers wait for it for a bounded time.
"""

import atexit
import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import cache
from typing import Any, TypeVar

from monitor.audio.devices import InputDevice, choose
from monitor.audio.ring import RING_SECONDS, SampleRing
from monitor.errors import DriverHangsError, SourceError
from monitor.messages import Samples
from monitor.stdio import quiet

log = logging.getLogger(__name__)

CALLBACK = 0.05
"""Seconds of audio in one callback."""
LATENCY = 0.2
"""Seconds of buffer in the device: a machine that is busy for less loses nothing."""
ANSWER_TIMEOUT = 5.0
"""Seconds to wait for an answer of PortAudio."""
CLOSE_TIMEOUT = 1.0
"""Seconds to wait for a device to close."""
INVALID_SAMPLE_RATE = -9997
"""PortAudio's error number."""

Reply = TypeVar("Reply")


def list_devices() -> list[InputDevice]:
    """Return all devices that can record now. Raises `SourceError`.

    The list is stale while a microphone is open: PortAudio must be restarted to look for devices.
    """
    return _ask(_scan)


def default_available() -> bool:
    """Return whether a default microphone is available."""
    try:
        return any(device.default for device in list_devices())
    except SourceError:
        return False


def recorder(ring: SampleRing) -> Callable[[Samples, int, object, Any], None]:
    """Return the callback for PortAudio, which must never wait: it copies a block and counts overflows."""

    def record(block: Samples, frames: int, time: object, status: Any) -> None:  # noqa: ARG001
        ring.write(block)
        if status.input_overflow:
            ring.overflows += 1

    return record


class Microphone:
    """A capture whose ring is filled by a thread of PortAudio."""

    ring: SampleRing
    rate: int
    device: str
    live = True

    def __init__(self, wanted: str, rate: int) -> None:
        """Record from the device that `choose` finds, at `rate` (Hertz) or, if it refuses, at its default rate.

        Raises `SourceError`.
        """
        self._stream: Any = None
        self._closing = False
        self._lost = False
        try:
            _ask(lambda: self._open(wanted, rate), abandoned=self._free)
        except SourceError as error:
            raise type(error)(f"microphone {wanted or '(default)'}: {error}") from error

    @property
    def finished(self) -> bool:
        """The stream has stopped."""
        return self._lost or self._closing

    @property
    def failure(self) -> Exception | None:
        """Set when PortAudio ends the stream; a sound server that hangs is not noticed here."""
        return SourceError(f"{self.device}: unplugged, or its sound server has stopped") if self._lost else None

    def consumed(self, frames: int) -> None:
        """Do nothing: a microphone does not wait for its reader."""

    def close(self) -> None:
        """Stop and free the device, in the background if the sound server hangs."""
        if not self._closing:
            self._closing = True
            try:
                _driver().submit(self._free).result(CLOSE_TIMEOUT)
            except TimeoutError:
                log.warning("%s: the sound server does not answer; the device is closed when it does", self.device)

    def _open(self, wanted: str, rate: int) -> None:
        chosen = choose(wanted, _scan())
        sd = _library()
        try:
            try:
                self._start(chosen, rate)
            except sd.PortAudioError as error:
                if INVALID_SAMPLE_RATE not in error.args:
                    raise
                self._start(chosen, chosen.rate)
        except sd.PortAudioError as error:
            raise SourceError(f"cannot open {chosen.index} {chosen.name!r} at {self.rate} Hz: {error}") from error

    def _start(self, chosen: InputDevice, rate: int) -> None:
        self.rate = rate
        self.device = f"{chosen.name} ({chosen.host_api})"
        self.ring = SampleRing(round(RING_SECONDS * rate), min(chosen.channels, 2))
        self._stream = _library().InputStream(
            device=chosen.index,
            samplerate=rate,
            channels=self.ring.channels,
            dtype="float32",
            blocksize=round(CALLBACK * rate),
            latency=LATENCY,
            callback=recorder(self.ring),
            finished_callback=self._on_finished,
        )
        _streams.add(self._stream)
        try:
            self._stream.start()
        except Exception:
            self._free()
            raise

    def _free(self) -> None:
        if self._stream is not None:
            self._stream.abort()  # stop() would wait for a sound server that hangs
            self._stream.close()
            _streams.discard(self._stream)
            self._stream = None

    def _on_finished(self) -> None:
        self._lost = not self._closing


class DriverThread:
    """A daemon thread that runs one job after another, for calls that are not thread-safe and may hang."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def submit(self, job: Callable[[], Reply]) -> Future[Reply]:
        """Run the job after those that are queued."""
        future: Future[Reply] = Future()
        self._jobs.put((future, job))
        return future

    def call(self, job: Callable[[], Reply], timeout: float, abandoned: Callable[[], None] | None = None) -> Reply:
        """Return what `job` returns, or raise what it raises; `TimeoutError` after `timeout` seconds.

        A job that has not begun by then is cancelled. One that has continues, and `abandoned` runs after it, in the
        thread.
        """
        future = self.submit(job)
        try:
            return future.result(timeout)
        except TimeoutError:
            if not future.cancel() and abandoned:
                future.add_done_callback(lambda _: abandoned())
            raise

    def _run(self) -> None:
        while True:
            future, job = self._jobs.get()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(job())
                except Exception as error:
                    future.set_exception(error)


_streams: set[Any] = set()  # used by the PortAudio thread only


def _scan() -> list[InputDevice]:
    """List the devices. PortAudio looks for them when it starts, and must not restart while a stream is open."""
    sd = _library()
    if not _streams:
        sd._lib.Pa_Terminate()  # sd._initialize would also discard what other threads write to stderr
        if (code := sd._lib.Pa_Initialize()) < 0:
            raise SourceError(f"PortAudio cannot start: {sd.PortAudioError('error', code)}")
    default = sd.default.device[0]
    return [
        InputDevice(
            index=device["index"],
            name=device["name"],
            host_api=sd.query_hostapis(device["hostapi"])["name"],
            channels=device["max_input_channels"],
            rate=round(device["default_samplerate"]),
            default=device["index"] == default,
        )
        for device in sd.query_devices()
        if device["max_input_channels"] > 0
    ]


@cache
def _library() -> Any:
    try:
        import sounddevice
    except OSError as error:
        raise SourceError("PortAudio is not installed; on Debian: apt-get install libportaudio2") from error
    # The clean-up at exit would abort the process while a call hangs; `close` frees each stream before.
    atexit.unregister(sounddevice._exit_handler)
    return sounddevice


def _ask(job: Callable[[], Reply], abandoned: Callable[[], None] | None = None) -> Reply:
    """Run the job in PortAudio's thread; `abandoned` undoes it if it ends after the timeout."""
    try:
        with quiet():
            return _driver().call(job, ANSWER_TIMEOUT, abandoned)
    except TimeoutError as error:
        raise DriverHangsError(
            f"the sound server has not answered for {ANSWER_TIMEOUT:g} s; if it is frozen, restart it"
        ) from error


@cache
def _driver() -> DriverThread:
    return DriverThread("portaudio")
