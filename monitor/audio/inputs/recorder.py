"""The process that holds PortAudio: it lists the devices, and records one of them into shared memory.

It is run as a file and imports nothing of the monitor and no NumPy, to start fast and to stay small. It writes the list
of devices to stdout, reads one request from stdin, and answers; each is a line of JSON. It ends when stdin closes, and
so with the monitor, however that ends.

It polls for samples. In PortAudio's other mode, a callback, a thread of PortAudio spins for as long as the sound server
has suspended the device, and a call that never returns may crash the process at its end.
"""

import _thread
import json
import mmap
import os
import signal
import sys
import time
from typing import Any, NoReturn

POLL = 0.1
"""Seconds between two looks for new samples."""
LATENCY = 0.5
"""Seconds of buffer in the device: a machine that is busy for less loses nothing."""
INVALID_SAMPLE_RATE = -9997
"""PortAudio's error number."""

HEADER = 64
"""Bytes before the frames of a ring."""
WRITING, WRITTEN, OVERFLOWS = range(3)
"""Places of the three counters in the header, each a 64-bit integer."""


class Fence:
    """Called by one thread, orders its stores and loads before the call before those after it.

    A weakly ordered CPU, such as an ARM, would change their order. A release followed by an acquire of one lock forbids
    that; Python has no plain memory fence.
    """

    def __init__(self) -> None:
        self._lock = _thread.allocate_lock()
        self._lock.acquire()

    def __call__(self) -> None:
        """Release the lock and take it back."""
        self._lock.release()
        self._lock.acquire()


class RingWriter:
    """Writes frames of float32 into memory that a `SampleRing` of the monitor reads."""

    def __init__(self, memory: Any, frame: int) -> None:
        """`memory` is a writable buffer: the header, then the frames. `frame` is the bytes of one."""
        view = memoryview(memory)
        self._counters, self._bytes, self._frame = view[:HEADER].cast("q"), view[HEADER:], frame
        self._capacity = len(self._bytes) // frame
        self._fence = Fence()

    def write(self, block: Any, overflowed: bool) -> None:
        """Append a buffer of whole frames, which must fit the ring; `overflowed` if audio was lost before it."""
        block, frame = memoryview(block), self._frame
        n = len(block) // frame
        written = self._counters[WRITTEN]
        self._counters[WRITING] = written + n
        self._fence()
        at = written % self._capacity
        head = min(n, self._capacity - at)
        self._bytes[at * frame : (at + head) * frame] = block[: head * frame]
        if head < n:
            self._bytes[: (n - head) * frame] = block[head * frame :]
        if overflowed:
            self._counters[OVERFLOWS] += 1
        self._fence()
        self._counters[WRITTEN] = written + n


def main() -> None:
    """Serve until stdin closes; whether a call of PortAudio hangs does not matter."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the monitor ends this process once it has ended its source
    request = _thread.allocate_lock()
    request.acquire()
    requests: list[dict[str, Any]] = []

    def work() -> None:
        try:
            sounddevice = _library()
            _say(devices=_devices(sounddevice))
            request.acquire()
            _record(sounddevice, **requests[0])
        except Exception as error:  # the monitor must learn of anything that ends the recording
            _end(str(error) if isinstance(error, RuntimeError) else f"{type(error).__name__}: {error}")

    _thread.start_new_thread(work, ())
    for line in sys.stdin.buffer:
        requests.append(json.loads(line))
        request.release()
    os._exit(0)


def _library() -> Any:
    try:
        import sounddevice
    except OSError as error:
        raise RuntimeError("PortAudio is not installed; on Debian: apt-get install libportaudio2") from error
    return sounddevice


def _devices(sounddevice: Any) -> list[dict[str, Any]]:
    """Return the fields of an `InputDevice` for each device that can record."""
    default = sounddevice.default.device[0]
    return [
        {
            "index": device["index"],
            "name": device["name"],
            "host_api": sounddevice.query_hostapis(device["hostapi"])["name"],
            "channels": device["max_input_channels"],
            "rate": round(device["default_samplerate"]),
            "default": device["index"] == default,
        }
        for device in sounddevice.query_devices()
        if device["max_input_channels"] > 0
    ]


def _record(sounddevice: Any, memory: int, seconds: float, device: int, channels: int, rates: list[int]) -> None:
    """Record at the first rate that the device accepts, into a ring of this length in the file `memory`."""
    for rate in rates:
        try:
            stream = sounddevice.RawInputStream(
                device=device, samplerate=rate, channels=channels, dtype="float32", latency=LATENCY
            )
            stream.start()
            break
        except sounddevice.PortAudioError as error:
            if INVALID_SAMPLE_RATE not in error.args or rate == rates[-1]:
                raise RuntimeError(f"at {rate} Hz: {error}") from error
    capacity, frame = round(seconds * rate), 4 * channels
    os.ftruncate(memory, HEADER + capacity * frame)
    ring = RingWriter(mmap.mmap(memory, 0), frame)
    _say(rate=rate, capacity=capacity)
    while True:
        time.sleep(POLL)
        while (ready := min(stream.read_available, capacity // 4)) > 0:
            ring.write(*stream.read(ready))


def _say(**message: Any) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


def _end(error: str) -> NoReturn:
    _say(error=error)
    os._exit(1)


if __name__ == "__main__":
    main()
