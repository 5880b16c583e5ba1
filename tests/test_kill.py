"""The whole program and signals from outside: killed while a sound is on and started again, or hung up."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from monitor.audio.inputs import demo
from tests.mqtt.examples import Recorder, eventually, listening
from tests.parts.audio_file import write_audio
from tests.parts.broker import Broker
from tests.parts.sounds import bursts, write_wav
from tests.parts.tiny_model import write_tiny_model

pytestmark = pytest.mark.real

CONFIG = """
node: box
sources: [{{input: {audio}, name: hall, loop: true}}]
mqtt: {{host: 127.0.0.1, port: {port}}}
events: {{path: {folder}/events.db}}
"""


@asynccontextmanager
async def monitoring(folder: Path, broker: Broker, audio: demo.Signal) -> AsyncIterator[asyncio.subprocess.Process]:
    """The program, playing this signal in a loop, until killed."""
    file = write_audio(folder / "room.wav", audio[:, None].astype(np.float32), demo.RATE, "pcm_s16le")
    (folder / "config.yaml").write_text(CONFIG.format(audio=file, port=broker.port, folder=folder))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "monitor", "run", "--no-tui", "-c", str(folder / "config.yaml"),
        env={**os.environ, "XDG_STATE_HOME": str(folder)}, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


def phases(recorder: Recorder) -> list[tuple[str, bool]]:
    """The phases on the log topic, each with whether it is marked as replayed."""
    return [(each["phase"], each["replayed"]) for each in map(json.loads, recorder.payloads("log"))]


async def test_a_state_that_is_on_does_not_outlive_a_kill(tmp_path: Path) -> None:
    """After a kill, the next run publishes OFF, ends the sound in the event log, and publishes that end."""
    with Broker(tmp_path) as broker:
        async with listening(broker.port) as recorder:
            async with monitoring(tmp_path, broker, demo.smoke_alarm(3.0)):
                await eventually(lambda: recorder.last("hall/smoke_alarm/state") == b"ON" and phases(recorder))
            await eventually(lambda: recorder.last("availability") == b"offline")
        async with listening(broker.port) as recorder:
            await eventually(lambda: recorder.last("hall/smoke_alarm/state") == b"ON")
            async with monitoring(tmp_path, broker, demo.room(5.0)):
                await eventually(lambda: recorder.last("hall/smoke_alarm/state") == b"OFF")
                await eventually(lambda: ("ended", True) in phases(recorder))
                assert json.loads(recorder.last("hall/smoke_alarm/attributes") or b"")["ended_at"] is not None
            assert recorder.payloads("hall/event") == []


QUIET_CONFIG = """
node: box
sources: [{{input: {folder}/burst.wav, loop: true}}]
model: {{name: {folder}/tiny.onnx}}
detection: {{rules: [{{label: Loud, preset: impulsive}}]}}
"""


@pytest.mark.parametrize("wrapper", [[], ["nohup"]], ids=["plain", "nohup"])
async def test_a_hang_up_ends_the_program_unless_its_parent_ignores_it(tmp_path: Path, wrapper: list[str]) -> None:
    """SIGHUP shuts the monitor down in order; under nohup it keeps listening."""
    write_tiny_model(tmp_path / "tiny.onnx")
    write_wav(tmp_path / "burst.wav", bursts(3, 0.5))
    (tmp_path / "config.yaml").write_text(QUIET_CONFIG.format(folder=tmp_path))
    process = await asyncio.create_subprocess_exec(
        *wrapper, sys.executable, "-m", "monitor", "run", "--json", "-c", str(tmp_path / "config.yaml"),
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            assert await process.stdout.readline()
            process.send_signal(signal.SIGHUP)
            if wrapper:
                for _ in range(4):  # the sound ends, starts and ends again
                    assert await process.stdout.readline()
                process.terminate()
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
