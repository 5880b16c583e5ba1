"""Control of a whole monitor in a loud room, with commands over a real broker."""

import asyncio
import wave
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import msgspec
import numpy as np
import pytest
from msgspec import structs

from monitor import service as service_module
from monitor.audio import source as source_module
from monitor.config.paths import settings_path
from monitor.config.schema import (
    Config,
    DetectionConfig,
    EventsConfig,
    ModelConfig,
    MqttConfig,
    ProfileConfig,
    ProfileSoundConfig,
    RuleConfig,
    SourceConfig,
)
from monitor.control.settings import Choices, Override
from monitor.control.store import SettingsFile
from monitor.errors import InUseError
from monitor.events.log import EventLog
from monitor.messages import Detection, Health, Phase, SourceState
from monitor.service import Service
from tests.mqtt.examples import BASE, Recorder, eventually, listening
from tests.parts.broker import Broker
from tests.parts.slow_model import write_slow_model
from tests.parts.tiny_model import write_tiny_model


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker without passwords."""
    with Broker(tmp_path) as running:
        yield running


@pytest.fixture
def config(tmp_path: Path, broker: Broker) -> Config:
    """A box with one source that is always loud (a score of 0.94)."""
    noise = np.random.default_rng(0).standard_normal(32_000).astype(np.float32)
    with wave.open(str(tmp_path / "hall.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((32768 * 0.044 * noise).astype("<i2").tobytes())
    return Config(
        node="box",
        sources=(SourceConfig(input=str(tmp_path / "hall.wav"), name="hall", loop=True),),
        model=ModelConfig(name=str(write_tiny_model(tmp_path / "tiny.onnx"))),
        detection=DetectionConfig(rules=(RuleConfig(label="Loud", preset="impulsive", strong=2.0),)),
        profiles=(ProfileConfig(name="night", sounds=(ProfileSoundConfig(label="Loud", enabled=False),)),),
        events=EventsConfig(path=str(tmp_path / "events.db")),
        mqtt=MqttConfig(host="127.0.0.1", port=broker.port),
    )


def new_settings(message: aiomqtt.Message) -> bool:
    """Whether the message has settings of this run, not retained ones of an earlier one."""
    return str(message.topic) == f"{BASE}/setting/pause" and not message.retain


@asynccontextmanager
async def running(config: Config, detected: list[Detection]) -> AsyncIterator[Recorder]:
    """A running monitor, and a client that records every message."""
    assert config.mqtt.port is not None
    async with listening(config.mqtt.port) as recorder:
        service = Service(config)
        task = asyncio.create_task(service.run(on_detection=detected.append))
        try:
            await eventually(lambda: any(new_settings(message) for message in recorder.messages))
            yield recorder
        finally:
            service.stop()
            await task


async def command(recorder: Recorder, path: str, payload: bytes) -> None:
    """Give a command, and wait for its answer."""
    recorder.messages.clear()
    await recorder.client.publish(f"{BASE}/set/{path}", payload, qos=1)
    await eventually(lambda: recorder.last(f"setting/{path}") == payload)


def state(recorder: Recorder) -> SourceState | None:
    """The state of the source in the newest health."""
    payload = recorder.last("health")
    return msgspec.json.decode(payload, type=Health).sources[0].state if payload else None


async def test_commands_switch_a_sound_and_change_its_threshold(config: Config) -> None:
    """A sound that is switched off ends, and starts again only above the threshold."""
    detected: list[Detection] = []
    async with running(config, detected) as recorder:
        await eventually(lambda: recorder.last("hall/loud/state") == b"ON")
        await command(recorder, "loud/enabled", b"OFF")
        await eventually(lambda: recorder.last("hall/loud/state") == b"OFF")
        assert [detection.phase for detection in detected] == [Phase.STARTED, Phase.ENDED]
        assert detected[0].id == detected[1].id
        await command(recorder, "loud/threshold", b"0.99")
        await command(recorder, "loud/enabled", b"ON")
        await eventually(lambda: len(recorder.payloads("hall/live")) >= 3)
        assert len(detected) == 2
        await command(recorder, "loud/threshold", b"0.6")
        await eventually(lambda: recorder.last("hall/loud/state") == b"ON")
        await command(recorder, "profile", b"night")
        await eventually(lambda: recorder.last("hall/loud/state") == b"OFF")


async def test_a_pause_closes_the_source_and_outlasts_a_restart(config: Config) -> None:
    """A pause ends the sound and is not a problem; it lasts over a restart, like the other settings."""
    detected: list[Detection] = []
    async with running(config, detected) as recorder:
        await eventually(lambda: recorder.last("hall/loud/state") == b"ON")
        await eventually(lambda: recorder.last("hall/availability") == b"online")
        await command(recorder, "loud/threshold", b"0.6")
        await command(recorder, "pause", b"ON")
        await eventually(lambda: recorder.last("hall/loud/state") == b"OFF" and state(recorder) is SourceState.PAUSED)
        await eventually(lambda: recorder.last("hall/availability") == b"offline")
        assert b"ON" not in recorder.payloads("hall/problem/state")
        assert [detection.phase for detection in detected] == [Phase.STARTED, Phase.ENDED]
    async with running(config, detected) as recorder:
        await eventually(lambda: state(recorder) is SourceState.PAUSED)
        assert recorder.last("setting/pause") == b"ON"
        assert recorder.last("setting/loud/threshold") == b"0.6"
        assert len(detected) == 2
        await command(recorder, "pause", b"OFF")
        await eventually(lambda: recorder.last("hall/loud/state") == b"ON")
        await eventually(lambda: recorder.last("hall/availability") == b"online")


async def test_a_model_that_hangs_is_a_problem(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source whose sound is not analysed is stalled and offline, and its lag grows; a stop still ends the monitor."""
    monkeypatch.setattr(source_module, "STALLED_AFTER", 1.0)
    monkeypatch.setattr(service_module, "SHUTDOWN", 0.5)
    with wave.open(str(tmp_path / "hall.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((32000 * np.sin(np.arange(16_000) / 5)).astype("<i2").tobytes())
    slow = ModelConfig(name=str(write_slow_model(tmp_path / "slow.onnx")))
    async with running(structs.replace(config, model=slow), []) as recorder:
        await eventually(lambda: recorder.last("hall/problem/state") == b"ON")
        assert recorder.last("hall/availability") == b"offline"
        assert state(recorder) is SourceState.STALLED
        health = msgspec.json.decode(recorder.last("health") or b"", type=Health)
        assert health.sources[0].lag > 1.0


async def test_without_a_broker_saved_settings_are_ignored(config: Config) -> None:
    """A saved pause, which could not be ended without a broker, has no effect."""
    await SettingsFile(settings_path(config)).save(Choices(paused=True))
    detected: list[Detection] = []
    service = Service(without_broker(config))
    task = asyncio.create_task(service.run(on_detection=detected.append))
    await eventually(lambda: detected)
    service.stop()
    await task


async def test_restored_settings_are_logged(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    """The log names the pause, the changed sounds, and choices that no longer fit."""
    changes = {"gone": {"Loud": Override(on=0.7)}, "night": {"Loud": Override(enabled=True)}}
    await SettingsFile(settings_path(config)).save(Choices(True, "night", changes))
    caplog.set_level("INFO")
    async with running(config, []):
        pass
    assert "listening is paused, as chosen over MQTT" in caplog.text
    assert "changed over MQTT in profile night: Loud" in caplog.text
    assert "unknown profile 'gone'" in caplog.text


def without_broker(config: Config) -> Config:
    """The same box, without MQTT."""
    return structs.replace(config, mqtt=MqttConfig())


async def test_a_cancellation_is_passed_on(config: Config) -> None:
    """The cancellation reaches the caller, the broker says offline, and no task of the run is left."""
    detected: list[Detection] = []
    assert config.mqtt.port is not None
    async with listening(config.mqtt.port) as recorder:
        task = asyncio.create_task(Service(config).run(on_detection=detected.append))
        await eventually(lambda: detected and recorder.last("availability") == b"online")
        names = {"monitor", "listen to hall", "publish", "mqtt", "health"}
        assert names <= {each.get_name() for each in asyncio.all_tasks()}
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not names & {each.get_name() for each in asyncio.all_tasks()}
        await eventually(lambda: recorder.last("availability") == b"offline")
    assert task.cancelled()


async def test_a_timeout_around_a_run_expires(config: Config) -> None:
    """The caller gets its TimeoutError, and the next run ends in the log what was on."""
    detected: list[Detection] = []
    limit = asyncio.timeout(None)

    def expire(detection: Detection) -> None:
        detected.append(detection)
        limit.reschedule(asyncio.get_running_loop().time())

    with pytest.raises(TimeoutError):
        async with limit:
            await Service(without_broker(config)).run(on_detection=expire)
    assert [detection.phase for detection in detected] == [Phase.STARTED]
    log = EventLog(Path(config.events.path or ""), keep_days=365, max_mb=100)
    assert await log.end_interrupted() == 1
    await log.close()


async def test_a_run_with_a_duration_returns(config: Config) -> None:
    """A run whose duration is over ends the sound that is on, and returns None."""
    detected: list[Detection] = []
    assert await Service(without_broker(config)).run(on_detection=detected.append, duration=2.0) is None
    assert [detection.phase for detection in detected] == [Phase.STARTED, Phase.ENDED]


@pytest.mark.slow
async def test_a_demonstration_is_never_written_to_the_event_log(config: Config) -> None:
    """Its sounds are reported, but are not in the log of a home."""
    detected: list[Detection] = []
    service = Service(structs.replace(config, sources=(SourceConfig(input="demo"),), mqtt=MqttConfig()))
    await service.run(on_detection=detected.append, duration=9.0)
    assert detected
    assert not any(detection.recorded for detection in detected)
    assert config.events.path is not None
    log = EventLog(Path(config.events.path), keep_days=30, max_mb=100)
    assert await log.recent(10) == []
    await log.close()


async def test_a_second_monitor_on_the_same_log_is_refused(config: Config) -> None:
    """It opens no source, and leaves the log alone: the sound that is on there is not ended."""
    detected: list[Detection] = []
    first = Service(without_broker(config))
    task = asyncio.create_task(first.run(on_detection=detected.append))
    await eventually(lambda: detected)
    with pytest.raises(InUseError, match="another monitor"):
        await Service(without_broker(config)).run()
    assert len(detected) == 1
    first.stop()
    await task
    assert [each.phase for each in detected] == [Phase.STARTED, Phase.ENDED]
    assert await Service(without_broker(config)).run(duration=0.1) is None
