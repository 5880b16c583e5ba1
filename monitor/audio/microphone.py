"""Microphones, through PortAudio.

PortAudio's calls are not thread-safe, and hang for as long as a sound server does. So one thread makes all of them,
and whoever wants something of it waits for a bounded time.
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
from monitor.audio.ring import SampleRing
from monitor.errors import DriverHangsError, SourceError
from monitor.messages import Samples
from monitor.stdio import quiet

log = logging.getLogger(__name__)

CAPACITY = 4.0  # seconds of audio in the ring
BLOCK = 0.05  # seconds a callback
LATENCY = 0.2  # seconds of buffer in the device, so that a busy machine loses nothing
OPEN_TIMEOUT = 5.0  # seconds
CLOSE_TIMEOUT = 1.0  # seconds
INVALID_SAMPLE_RATE = -9997  # PortAudio's number for it

T = TypeVar("T")


def list_devices() -> list[InputDevice]:
    """All devices that can record, as they are now. Raises `SourceError`."""
    return _patiently(_scan)


def default_available() -> bool:
    """Whether there is a default microphone."""
    try:
        return any(device.default for device in list_devices())
    except SourceError:
        return False


def recorder(ring: SampleRing) -> Callable[[Samples, int, object, Any], None]:
    """PortAudio's callback, which must not wait for anything: copy, advance the index, count what was lost."""

    def record(block: Samples, frames: int, time: object, status: Any) -> None:  # noqa: ARG001
        ring.write(block)
        if status.input_overflow:
            ring.overflows += 1

    return record


class Microphone:
    """A capture whose ring PortAudio's own thread fills."""

    ring: SampleRing
    rate: int
    device: str
    live = True

    def __init__(self, wanted: str, rate: int) -> None:
        """Start to record from the device that `choose` finds, at `rate` (Hertz) or else at the device's own rate.

        Raises `SourceError`.
        """
        self._stream: Any = None
        self._closing = False
        self._lost = False
        try:
            _patiently(lambda: self._open(wanted, rate), abandoned=self._free)
        except SourceError as error:
            raise type(error)(f"microphone {wanted or '(default)'}: {error}") from error

    @property
    def finished(self) -> bool:
        """The stream has stopped."""
        return self._lost or self._closing

    @property
    def failure(self) -> Exception | None:
        """Set when PortAudio gave the stream up; a sound server that merely hangs is not noticed here."""
        return SourceError(f"{self.device}: unplugged, or its sound server has gone") if self._lost else None

    def consumed(self, frames: int) -> None:
        """A microphone does not wait for its reader."""

    def close(self) -> None:
        """Stop and free the device; with a sound server that hangs this goes on in the background."""
        if not self._closing:
            self._closing = True
            try:
                _worker().submit(self._free).result(CLOSE_TIMEOUT)
            except TimeoutError:
                log.warning("%s: the sound server hangs; the device is freed when it answers", self.device)

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
        self.ring = SampleRing(round(CAPACITY * rate), min(chosen.channels, 2))
        self._stream = _library().InputStream(
            device=chosen.index,
            samplerate=rate,
            channels=self.ring.channels,
            dtype="float32",
            blocksize=round(BLOCK * rate),
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
    """Does one job after another in a thread of its own; a job that hangs holds up only the jobs behind it."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def submit(self, job: Callable[[], T]) -> Future[T]:
        """Have the job done when its turn comes."""
        future: Future[T] = Future()
        self._jobs.put((future, job))
        return future

    def call(self, job: Callable[[], T], timeout: float, abandoned: Callable[[], None] | None = None) -> T:
        """What `job` returns or raises; `TimeoutError` after so many seconds.

        A job that has not begun by then never will; one that has goes on, and `abandoned` runs in the thread after it.
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


_streams: set[Any] = set()  # touched by the PortAudio thread only


def _scan() -> list[InputDevice]:
    """The devices; PortAudio looks for them only when it starts, and must not restart while a stream is open."""
    sd = _library()
    if not _streams:
        sd._lib.Pa_Terminate()  # sd._initialize would also lose what other threads write to stderr meanwhile
        if (code := sd._lib.Pa_Initialize()) < 0:
            raise SourceError(f"PortAudio does not start: {sd.PortAudioError('error', code)}")
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
    # The clean-up at exit would abort the process while a call hangs; otherwise `close` has done it by then.
    atexit.unregister(sounddevice._exit_handler)
    return sounddevice


def _patiently(job: Callable[[], T], abandoned: Callable[[], None] | None = None) -> T:
    """Let PortAudio's thread do it and wait; `abandoned` undoes it if it is done only after we gave up."""
    try:
        with quiet():
            return _worker().call(job, OPEN_TIMEOUT, abandoned)
    except TimeoutError as error:
        raise DriverHangsError(f"the sound server has not answered for {OPEN_TIMEOUT:g} s; is it frozen?") from error


@cache
def _worker() -> DriverThread:
    return DriverThread("portaudio")
