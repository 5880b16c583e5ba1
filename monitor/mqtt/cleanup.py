"""Takes everything back that a monitor has left at the broker."""

import asyncio
import secrets
from contextlib import suppress
from dataclasses import dataclass

from monitor.config.schema import MqttConfig
from monitor.mqtt.client import Client
from monitor.mqtt.connection import CONNECT_TIMEOUT, client_id, connect
from monitor.mqtt.discovery import config_topic, platforms
from monitor.mqtt.topics import ONLINE, Topics

QUIET = 1.0
"""Seconds without another retained message after which all have come."""


@dataclass(frozen=True, slots=True)
class Cleared:
    """What was taken back."""

    entities: int | None
    """Of the device in Home Assistant; None where none was announced."""
    topics: int
    """Retained ones of the monitor's own."""
    running: bool
    """The monitor was online."""


async def clear(config: MqttConfig, node: str) -> Cleared:
    """Remove the device from Home Assistant, and all that is retained below the node's topics. Raises `BrokerError`."""
    topics = Topics(config.topic, node)
    device = config_topic(config.discovery_prefix, topics)
    async with connect(config, f"{client_id(config, node)}-clear-{secrets.token_hex(4)}") as client:
        await client.subscribe([(device, 1), (f"{topics.prefix}/{topics.node}/#", 1)])
        found = await _retained(client)
        for topic in found:
            await client.publish(topic, b"", qos=1, retain=True, timeout=CONNECT_TIMEOUT)
    announced = found.pop(device, None)
    entities = None if announced is None else len(platforms(announced))
    return Cleared(entities, len(found), found.get(topics.availability) == ONLINE)


async def _retained(client: Client) -> dict[str, bytes]:
    """What the broker hands out to a new subscriber, until nothing more comes."""
    found: dict[str, bytes] = {}
    loop = asyncio.get_running_loop()
    with suppress(TimeoutError):
        async with asyncio.timeout(QUIET) as limit:
            async for message in client.messages:
                if message.retain and message.payload:
                    found[str(message.topic)] = message.payload
                    limit.reschedule(loop.time() + QUIET)
    return found
