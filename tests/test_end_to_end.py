"""The whole program: sound played into a microphone, the message at a real broker."""

import asyncio
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiomqtt
import numpy as np
import pytest

from monitor.audio.inputs import demo
from monitor.audio.inputs.media import Media
from monitor.messages import Samples
from tests.parts.broker import Broker
from tests.parts.virtual_mic import VirtualMic

pytestmark = pytest.mark.real

ROUNDS = int(os.environ.get("SOUND_MONITOR_ROUNDS", "3"))
"""How often the sound is played; more rounds give a better median."""
DATA = os.environ.get("SOUND_MONITOR_DATA")
"""Folder with real recordings (audio/ESC-50/*.ogg), which do not come with the project."""
CONFIG = """
node: test
sources: [{{input: mic, name: room}}]
mqtt: {{host: 127.0.0.1, port: {port}}}
events: {{path: {events}}}
audio: {{stall_timeout: 1.0, retry_max: 1.0}}
"""


@dataclass
class Monitor:
    """The running program and what it publishes."""

    process: asyncio.subprocess.Process
    client: aiomqtt.Client

    async def next(self, leaf: str, seconds: float = 20.0) -> tuple[float, bytes]:
        """The next payload on a topic that ends so, and the time at which it came."""
        async with asyncio.timeout(seconds):
            async for message in self.client.messages:
                if str(message.topic).endswith(leaf):
                    assert isinstance(message.payload, bytes)
                    return time.time(), message.payload
        raise AssertionError

    async def changes(self, leaf: str, seconds: float) -> list[bytes]:
        """The payloads on a topic that ends so, of the next seconds."""
        payloads = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    payloads.append((await self.next(leaf, seconds))[1])
        return payloads

    async def event(self, label: str, phase: str) -> tuple[float, dict[str, Any]]:
        """The next event of this label and phase, and the time at which it came."""
        while True:
            arrived, payload = await self.next("room/event")
            event = json.loads(payload)
            if (event["label"], event["phase"]) == (label, phase):
                return arrived, event

    async def settle(self) -> None:
        """Wait until nothing happens any more, and all cooldowns are over: a sound may be heard as two."""
        with contextlib.suppress(TimeoutError):
            while True:
                await self.next("room/event", 5.0)


@asynccontextmanager
async def monitoring(folder: Path, microphone: VirtualMic, broker: Broker) -> AsyncIterator[Monitor]:
    """The program on the microphone and the broker, until it has said that it listens."""
    config = folder / "config.yaml"
    config.write_text(CONFIG.format(port=broker.port, events=folder / "events.db"))
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.subscribe("sound-monitor/test/#")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "monitor", "run", "--no-tui", "-c", str(config),
            env={**os.environ, **microphone.environment},
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        monitor = Monitor(process, client)
        try:
            while (await monitor.next("room/availability"))[1] != b"online":
                pass
            yield monitor
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            _, errors = await asyncio.wait_for(process.communicate(), 15)
            assert b"Traceback" not in errors, errors.decode()


@pytest.fixture
def microphone(tmp_path: Path) -> Iterator[VirtualMic]:
    """A microphone that hears what the test plays."""
    with VirtualMic(tmp_path) as running:
        yield running


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker that lets everyone in."""
    with Broker(tmp_path) as running:
        yield running


@pytest.mark.slow
async def test_a_suspended_microphone_is_offline_until_it_delivers(
    tmp_path: Path, microphone: VirtualMic, broker: Broker
) -> None:
    """A microphone that is open but delivers nothing goes offline soon, stays so, and comes back: one problem."""
    async with monitoring(tmp_path, microphone, broker) as monitor:
        for _ in range(2):
            begun = time.time()
            await asyncio.to_thread(microphone.suspend, True)
            at, problem = await monitor.next("room/problem/state")
            assert (problem, at - begun < 3) == (b"ON", True)
            assert not await monitor.changes("room/problem/state", 10)
            begun = time.time()
            await asyncio.to_thread(microphone.suspend, False)
            at, problem = await monitor.next("room/problem/state")
            assert (problem, at - begun < 2) == (b"OFF", True)
            await monitor.next("room/live")


class Witness:
    """A second recorder on the same microphone: it tells when a sound really got there."""

    def __init__(self, microphone: VirtualMic) -> None:
        command = ["parec", "--raw", "--format=float32le", "--channels=1", "--rate=16000", "--latency-msec=10"]
        self._process = subprocess.Popen(command, env={**os.environ, **microphone.environment}, stdout=subprocess.PIPE)
        self._onset: float | None = None
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        while block := os.read(self._process.stdout.fileno(), 640):
            if self._onset is None and np.abs(np.frombuffer(block[: len(block) // 4 * 4], "<f4")).max() > 0.05:
                self._onset = time.time()

    def onset(self) -> float:
        """The time of the first loud sample since `arm`."""
        assert self._onset is not None, "nothing was heard"
        return self._onset

    def arm(self) -> None:
        """Wait for the next loud sample."""
        self._onset = None

    def close(self) -> None:
        """End the recording."""
        self._process.kill()
        self._process.wait()
        self._thread.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def witness(microphone: VirtualMic) -> Iterator[Witness]:
    """Records beside the program."""
    running = Witness(microphone)
    yield running
    running.close()


def beep() -> Samples:
    """The first beep of a smoke alarm, in a room that is not digitally silent."""
    quiet = demo.room(1.0)
    return np.concatenate((quiet, demo.smoke_alarm(3.0), quiet)).astype(np.float32)


def recording(path: str) -> Samples:
    """A real recording of the data folder, at 16 kHz, which begins in quiet and sets in sharply."""
    if DATA is None:
        pytest.skip("needs real recordings: SOUND_MONITOR_DATA must name a folder that holds ESC-50")
    media = Media(str(Path(DATA) / path))
    audio = np.concatenate(list(media.blocks())).mean(axis=1)
    return np.asarray(0.8 * audio[: 3 * media.rate] / np.abs(audio).max(), np.float32)


SOUNDS: list[tuple[str, Callable[[], Samples]]] = [
    ("Smoke alarm", beep),
    ("Glass breaking", lambda: recording("audio/ESC-50/11806.ogg")),
    ("Knock", lambda: recording("audio/ESC-50/11841.ogg")),
    ("Dog", lambda: recording("audio/ESC-50/12447.ogg")),
]


@pytest.mark.parametrize(("label", "sound"), SOUNDS, ids=[label for label, _ in SOUNDS])
@pytest.mark.slow
async def test_a_sound_in_the_room_becomes_a_message(
    tmp_path: Path, microphone: VirtualMic, broker: Broker, witness: Witness, label: str, sound: Callable[[], Samples]
) -> None:
    """`started_at` is within 0.3 s of the true onset, and the message there within 1.5 s of it."""
    audio, errors, delays = sound(), [], []
    async with monitoring(tmp_path, microphone, broker) as monitor:
        for number in range(ROUNDS):
            if number > 0:
                await monitor.settle()
            witness.arm()
            playing = asyncio.create_task(asyncio.to_thread(microphone.play, audio, demo.RATE))
            arrived, started = await monitor.event(label, "started")
            await playing
            onset = witness.onset()
            errors.append(datetime.fromisoformat(started["started_at"]).timestamp() - onset)
            delays.append(arrived - onset)
    print(f"{label}: started_at - onset, median {statistics.median(errors):+.3f} s of {np.round(errors, 3)}")
    print(f"{label}: onset to message, median {statistics.median(delays):.3f} s of {np.round(delays, 3)}")
    assert max(map(abs, errors)) < 0.3
    assert statistics.median(delays) < 1.5


@pytest.mark.slow
async def test_a_microphone_that_vanishes_comes_back(tmp_path: Path, microphone: VirtualMic, broker: Broker) -> None:
    """Unplugged: the source is offline within seconds, nothing crashes; plugged in again: it hears."""
    async with monitoring(tmp_path, microphone, broker) as monitor:
        await asyncio.to_thread(microphone.unplug)
        assert (await monitor.next("room/availability"))[1] == b"offline"
        await asyncio.to_thread(microphone.replug)
        assert (await monitor.next("room/availability"))[1] == b"online"
        await asyncio.to_thread(microphone.play, beep(), demo.RATE)
        await monitor.event("Smoke alarm", "started")
        monitor.process.send_signal(signal.SIGTERM)
        assert (await monitor.next("test/availability"))[1] == b"offline"
        assert await asyncio.wait_for(monitor.process.wait(), 15) == 0


@pytest.mark.slow
async def test_nothing_is_recorded_during_a_pause(tmp_path: Path, microphone: VirtualMic, broker: Broker) -> None:
    """The microphone is free then, for all to see; on resume the monitor hears again."""
    async with monitoring(tmp_path, microphone, broker) as monitor:
        assert microphone.recordings == 1
        await monitor.client.publish("sound-monitor/test/set/pause", "ON", qos=1)
        assert (await monitor.next("setting/pause"))[1] == b"ON"
        assert (await monitor.next("room/availability"))[1] == b"offline"
        assert microphone.recordings == 0
        await asyncio.to_thread(microphone.play, beep(), demo.RATE)
        await monitor.client.publish("sound-monitor/test/set/pause", "OFF", qos=1)
        assert (await monitor.next("room/availability"))[1] == b"online"
        assert microphone.recordings == 1
        resumed = datetime.now(UTC)
        await asyncio.to_thread(microphone.play, beep(), demo.RATE)
        _, started = await monitor.event("Smoke alarm", "started")
        assert datetime.fromisoformat(started["started_at"]) > resumed
