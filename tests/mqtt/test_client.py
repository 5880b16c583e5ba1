"""Incoming messages of any size and number, at a real broker."""

import asyncio

import aiomqtt
import pytest

from monitor.config.schema import MqttConfig
from monitor.mqtt import client as mqtt_client
from monitor.mqtt.client import CHUNK, INBOX_BYTES, MAX_PACKET
from monitor.mqtt.connection import connect
from tests.mqtt.examples import eventually
from tests.parts.broker import Broker

pytestmark = pytest.mark.real


@pytest.mark.parametrize("qos", [0, 1])
async def test_a_huge_message_ends_early(config: MqttConfig, broker: Broker, qos: int) -> None:
    """Only its beginning is kept, it is acknowledged, and the next messages arrive whole."""
    async with connect(config, "small") as client, aiomqtt.Client("127.0.0.1", broker.port) as other:
        await client.subscribe("#", qos=qos)
        received: list[tuple[str, int]] = []

        async def receive() -> None:
            async for message in client.messages:
                received.append((str(message.topic), len(message.payload)))

        receiving = asyncio.create_task(receive())
        for number in range(25):  # more than may be unacknowledged at a broker
            await other.publish("huge", bytes(5_000_000), qos=1)
            await eventually(lambda: len(received) == number + 1)  # noqa: B023
        await other.publish("next", b"ON", qos=1)
        await eventually(lambda: received[-1] == ("next", 2))
        receiving.cancel()
        await asyncio.wait([receiving])
    assert all(size < MAX_PACKET + CHUNK for _, size in received)


async def test_messages_that_nobody_reads_are_bounded_in_bytes(config: MqttConfig, broker: Broker) -> None:
    """What no longer fits is discarded and counted."""
    async with connect(config, "slow") as client, aiomqtt.Client("127.0.0.1", broker.port) as other:
        await client.subscribe("#", qos=1)
        for _ in range(20):
            await other.publish("large", bytes(900_000), qos=1)
        await eventually(lambda: len(client.messages) + client.missed == 20)
        waiting = [await anext(aiter(client.messages)) for _ in range(len(client.messages))]
        assert sum(len(message.payload) for message in waiting) < INBOX_BYTES + MAX_PACKET
        await other.publish("next", b"ON", qos=1)
        async with asyncio.timeout(20):
            assert (await anext(aiter(client.messages))).payload == b"ON"


async def test_messages_that_nobody_reads_are_bounded_in_number(
    config: MqttConfig, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What no longer fits is discarded and counted."""
    monkeypatch.setattr(mqtt_client, "INBOX", 50)
    async with connect(config, "slow") as client, aiomqtt.Client("127.0.0.1", broker.port) as other:
        await client.subscribe("#", qos=1)
        for _ in range(60):
            await other.publish("small", b"ON", qos=1)
        await eventually(lambda: client.missed == 10)
        assert len(client.messages) == 50
