"""The feed of a remote display: at a real broker, and with arbitrary payloads."""

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC

import aiomqtt
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.schema import MqttConfig
from monitor.errors import BrokerError
from monitor.messages import (
    Detection,
    DetectionAttributes,
    Health,
    LabelScore,
    Link,
    LinkState,
    Message,
    Phase,
    Snapshot,
    SourceHealth,
    SourceState,
)
from monitor.mqtt.feed import MqttFeed, SoundStates, decode_message
from monitor.mqtt.topics import Address
from tests.mqtt.examples import BASE, detection, eventually, health, listening, publishing, snapshot
from tests.parts.broker import Broker

LEAVES: dict[str, type[Message]] = {"event": Detection, "live": Snapshot, "health": Health}


@asynccontextmanager
async def following(feed: MqttFeed) -> AsyncIterator[list[Message | Link]]:
    """The list of the feed's messages, which grows."""
    got: list[Message | Link] = []

    async def follow() -> None:
        async for message in feed.messages():
            got.append(message)

    task = asyncio.create_task(follow())
    try:
        yield got
    finally:
        task.cancel()
        await asyncio.wait([task])


def sounds(messages: list[Message | Link]) -> list[tuple[str, Phase]]:
    """Id and phase of each detection, ordered by id."""
    return sorted((message.id, message.phase) for message in messages if isinstance(message, Detection))


def links(messages: list[Message | Link]) -> list[LinkState]:
    """The states of the link."""
    return [message.state for message in messages if isinstance(message, Link)]


@pytest.mark.parametrize("node", ["box", None])
async def test_the_feed_yields_what_the_monitor_publishes(config: MqttConfig, node: str | None) -> None:
    """Detections, snapshots and health arrive unchanged, the retained health at once."""
    async with publishing(config) as running:
        running.hub.publish(health())
        await eventually(lambda: running.connected)
        feed = MqttFeed(config, node)
        async with following(feed) as got:
            await eventually(lambda: health() in got)
            running.hub.publish(detection())
            running.hub.publish(snapshot())
            await eventually(lambda: detection() in got and snapshot() in got)
        assert feed.title == f"box at {config.host}:{config.port}"


@pytest.mark.real
async def test_a_sound_that_is_on_is_known_within_half_a_second_of_attaching(config: MqttConfig) -> None:
    """The feed yields the start of a sound that is on, and the last detection of the others, as the broker has them."""
    dog = detection(Phase.ENDED, id="2", label="Dog")
    async with publishing(config) as running:
        running.hub.publish(health())
        for message in (detection(), detection(id="2", label="Dog"), dog):
            running.hub.publish(message)
        async with listening(config.port or 0) as recorder:
            await eventually(
                lambda: recorder.last("hall/dog/attributes") and recorder.last("availability") == b"online"
            )
        began = time.monotonic()
        async with following(MqttFeed(config)) as got:
            await eventually(lambda: health() in got)
            assert sounds(got) == [("1", Phase.STARTED), ("2", Phase.ENDED)], "known before the first status"
            assert time.monotonic() - began < 0.5
            running.hub.publish(detection(Phase.ENDED))
            await eventually(lambda: ("1", Phase.ENDED) in sounds(got))
            await asyncio.sleep(0.2)
            assert len(sounds(got)) == 3


@pytest.mark.real
async def test_the_end_of_a_sound_during_an_outage_is_known_after_it(config: MqttConfig, broker: Broker) -> None:
    """The feed learns from the retained topics what it missed, and repeats what is still on."""
    async with publishing(config) as running, following(MqttFeed(config, "box")) as got:
        await eventually(lambda: running.connected)
        running.hub.publish(health())
        running.hub.publish(detection())
        running.hub.publish(detection(id="2", label="Dog"))
        await eventually(lambda: len(sounds(got)) == 2)
        got.clear()
        broker.kill9()
        await eventually(lambda: not running.connected)
        running.hub.publish(detection(Phase.ENDED))
        broker.start()
        await eventually(lambda: sounds(got) == [("1", Phase.ENDED), ("2", Phase.STARTED)])


def test_contradicting_topics_of_a_sound_say_nothing() -> None:
    """A state without its detection, of another detection, invalid, or cleared, is no detection."""
    states = SoundStates()

    def take(leaf: str, payload: bytes, sound: str = "dog") -> Detection | None:
        return states.take(Address("box", leaf, "hall", sound), payload, "tiny")

    on, over = (
        msgspec.json.encode(DetectionAttributes.of(detection(phase, label="Dog")))
        for phase in (Phase.STARTED, Phase.ENDED)
    )
    assert take("state", b"ON") is None
    assert take("attributes", over) is None
    assert take("attributes", on) == detection(label="Dog")
    assert take("state", b"OFF") is None
    assert take("attributes", over) == detection(Phase.ENDED, label="Dog")
    assert take("attributes", b"") is None
    assert take("state", b"OFF") is None
    for payload in (b"on", b"\xff"):
        with pytest.raises(ValueError, match="ON or OFF"):
            take("state", payload)
    with pytest.raises(ValueError, match="nested"):
        take("attributes", b'{"x":' + b"[" * 5000)
    assert take("state", b"ON", "any") is None
    assert take("attributes", on, "any") is None
    assert take("attributes", on, "problem") is None


def test_the_number_of_followed_sounds_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Topics of ever new sounds do not fill the memory."""
    monkeypatch.setattr("monitor.mqtt.feed.MAX_SOUNDS", 3)
    states = SoundStates()
    for number in range(3):
        states.take(Address("box", "state", "hall", f"s{number}"), b"ON", "")
    with pytest.raises(ValueError, match="too many"):
        states.take(Address("box", "state", "hall", "s3"), b"ON", "")


async def test_without_a_name_the_first_monitor_online_is_followed(config: MqttConfig) -> None:
    """The feed ignores offline monitors, and never mixes in a second one."""
    async with aiomqtt.Client("127.0.0.1", config.port or 0) as other:
        await other.publish("sound-monitor/attic/availability", b"offline", retain=True)
        async with publishing(config) as running:
            await eventually(lambda: running.connected)
            async with following(MqttFeed(config)) as got:
                while detection(id="ours") not in got:
                    running.hub.publish(detection(id="ours"))
                    await asyncio.sleep(0.05)
                await other.publish("sound-monitor/attic/availability", b"online", qos=1)
                running.hub.publish(detection(id="later"))
                await eventually(lambda: detection(id="later") in got)
                foreign = msgspec.json.encode(snapshot(source="attic"))
                await other.publish("sound-monitor/attic/attic/live", foreign, qos=1)
                running.hub.publish(snapshot())
                await eventually(lambda: snapshot() in got)
                assert snapshot(source="attic") not in got


async def test_a_monitor_that_goes_is_offline_and_followed_when_it_is_back(config: MqttConfig) -> None:
    """The link says when the monitor went, and that it is back."""
    async with following(MqttFeed(config, "box")) as got:
        async with publishing(config) as running:
            running.hub.publish(health())
            await eventually(lambda: health() in got)
        await eventually(lambda: links(got)[-1] is LinkState.OFFLINE)
        gone = got[-1]
        assert isinstance(gone, Link)
        assert gone.since is not None
        async with publishing(config) as running:
            running.hub.publish(health(SourceState.DEAF))
            await eventually(lambda: health(SourceState.DEAF) in got and links(got)[-1] is LinkState.ATTACHED)
            assert links(got) == [LinkState.WAITING, LinkState.ATTACHED, LinkState.OFFLINE, LinkState.ATTACHED]


async def test_a_monitor_that_is_offline_before_has_no_time(config: MqttConfig) -> None:
    """Since when a monitor is offline is not known if the broker retained it."""
    async with publishing(config) as running:
        await eventually(lambda: running.connected)
    async with following(MqttFeed(config, "box")) as got:
        await eventually(lambda: Link(LinkState.OFFLINE, None) in got)


@pytest.mark.real
async def test_the_feed_outlives_its_broker(config: MqttConfig, broker: Broker) -> None:
    """The feed reports an outage of the broker and continues after it."""
    async with publishing(config) as running, following(MqttFeed(config, "box")) as got:
        running.hub.publish(health())
        await eventually(lambda: health() in got)
        broker.kill9()
        await eventually(lambda: links(got)[-1] is LinkState.DISCONNECTED)
        await asyncio.sleep(1.5)
        lost = [message for message in got if isinstance(message, Link) and message.state is LinkState.DISCONNECTED]
        assert len({link.since for link in lost}) == 1, "each attempt is of the same outage"
        assert lost[-1].reason
        broker.start()
        await eventually(lambda: got[-1] == health() and links(got)[-1] is LinkState.ATTACHED)


@pytest.mark.real
async def test_a_first_connection_that_fails_is_an_error(config: MqttConfig, broker: Broker) -> None:
    """A feed that cannot connect at first raises instead of waiting."""
    broker.kill9()
    with pytest.raises(BrokerError, match="refused"):
        await anext(MqttFeed(config, "box").messages())


async def test_garbage_is_ignored_and_logged_once_a_topic(config: MqttConfig, caplog: pytest.LogCaptureFixture) -> None:
    """Invalid payloads neither end the feed nor fill the log."""
    caplog.set_level(logging.WARNING, "monitor.mqtt.feed")
    async with publishing(config) as running, following(MqttFeed(config, "box")) as got:
        running.hub.publish(health())
        await eventually(lambda: health() in got)
        async with aiomqtt.Client("127.0.0.1", config.port or 0) as vandal:
            for number in range(30):
                for payload in (b"", b"\xff", b'{"x":' + b"[" * 5000, b'{"at":"2025-05-04T00:00:00","labels":[]}'):
                    await vandal.publish(f"{BASE}/s{number}/live", payload, qos=1)
        running.hub.publish(detection())
        await eventually(lambda: detection() in got)
    assert [message for message in got if not isinstance(message, Link)] == [health(), detection()]
    assert len(caplog.records) == 20


finite = st.floats(allow_nan=False, allow_infinity=False)
times = st.datetimes(timezones=st.just(UTC))
sources = st.builds(SourceHealth, captured=finite, lag=finite)
figures = dict.fromkeys(("uptime", "load", "inference_p50", "inference_p95"), finite)
anything: st.SearchStrategy[Message] = st.one_of(
    st.builds(Detection, started_at=times, ended_at=st.none() | times, score=finite, peak=finite),
    st.builds(Snapshot, at=times, level=finite, labels=st.lists(st.builds(LabelScore, score=finite)).map(tuple)),
    st.builds(Health, at=times, sources=st.lists(sources).map(tuple), **figures),
)


@given(anything)
def test_any_message_survives_the_wire(message: Message) -> None:
    """Encoding and decoding changes no message."""
    leaf = next(leaf for leaf, kind in LEAVES.items() if isinstance(message, kind))
    assert decode_message(leaf, msgspec.json.encode(message)) == message


@given(st.sampled_from(list(LEAVES)), st.binary() | st.recursive(st.none() | finite, st.lists).map(msgspec.json.encode))
def test_decoding_anything_gives_a_message_of_its_kind_or_a_value_error(leaf: str, payload: bytes) -> None:
    """Any payload gives a message of its kind or raises `ValueError`."""
    try:
        message = decode_message(leaf, payload)
    except ValueError:
        return
    assert isinstance(message, LEAVES[leaf])


def test_a_time_without_its_zone_is_invalid() -> None:
    """A time without a zone could not be compared with others."""
    payload = msgspec.json.encode(snapshot()).replace(b"Z", b"")
    with pytest.raises(ValueError, match="timezone"):
        decode_message("live", payload)


def test_importing_the_mqtt_side_loads_no_inference_no_audio_and_no_terminal() -> None:
    """Neither a remote display nor the publisher loads inference, audio or the terminal."""
    program = (
        "import sys, monitor.mqtt.publisher, monitor.mqtt.feed\n"
        "print(*{'onnxruntime', 'textual', 'sounddevice', 'av', 'soxr'} & set(sys.modules))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert loaded.stdout == "\n"
