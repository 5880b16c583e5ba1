"""Clears retained topics: those of an earlier configuration while the monitor runs, or all of a monitor's."""

import asyncio
import secrets
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass

from monitor.config.schema import MqttConfig
from monitor.mqtt.announcement import Device, platforms
from monitor.mqtt.client import Client
from monitor.mqtt.connection import CONNECT_TIMEOUT, client_id, connect
from monitor.mqtt.publisher import Send
from monitor.mqtt.topics import ALL, ANY, ANY_SOUND, ONLINE, PROBLEM, Topics, parse_topic, slugs

AT_ONCE = 50
"""Most topics that are being cleared, so that commands behind thousands of them need not wait long."""

QUIET = 1.0
"""Seconds without another retained message after which the broker has sent all of them."""


class Leftovers:
    """The companion that clears what an earlier configuration left: sources, sounds and settings that are gone."""

    def __init__(self, device: Device) -> None:
        """`device` as it is configured now."""
        self._topics = device.topics
        self._sources: Collection[str] = device.sources
        self._sounds = {ANY_SOUND, PROBLEM, *slugs(device.sounds).values()}
        self._settings = {control.state_topic for control in device.controls}
        self._level = device.level
        self._clearing: set[asyncio.Task[None]] = set()

    @property
    def filters(self) -> Sequence[str]:
        """Every topic below a source that may be retained, and the settings."""
        topics = self._topics
        sounds = [topics.state(ANY, ANY), topics.attributes(ANY, ANY)]
        return [topics.source_availability(ANY), topics.level(ANY), *sounds, topics.setting(ALL)]

    async def connected(self, send: Send) -> None:
        """Do nothing: the broker sends what is retained by itself."""

    async def received(self, topic: str, payload: bytes, send: Send, *, retained: bool) -> None:
        """Clear the topic if it is left over; wait only while many are being cleared."""
        if not (retained and payload and self._left_over(topic)):
            return
        while len(self._clearing) >= AT_ONCE:
            await asyncio.wait(self._clearing, return_when=asyncio.FIRST_COMPLETED)
        task = asyncio.create_task(send(topic, b"", retain=True))
        self._clearing.add(task)
        task.add_done_callback(self._cleared)

    def _cleared(self, task: asyncio.Task[None]) -> None:
        """Forget the task; after a failure the broker sends the topic again on the next connection."""
        self._clearing.discard(task)
        if not task.cancelled():
            task.exception()

    def _left_over(self, topic: str) -> bool:
        where = parse_topic(self._topics.prefix, topic)
        if where is None:
            return topic not in self._settings
        if where.source not in self._sources or (where.leaf == "level" and not self._level):
            return True
        return where.sound is not None and where.sound not in self._sounds


@dataclass(frozen=True, slots=True)
class Cleared:
    """What was removed."""

    entities: int | None
    """Entities of the device in Home Assistant; None if it was not announced."""
    topics: int
    """Retained topics of the monitor."""
    running: bool
    """Whether the monitor was online."""


async def clear(config: MqttConfig, node: str) -> Cleared:
    """Remove the device from Home Assistant, and every retained topic of the node. Raises `BrokerError`."""
    topics = Topics(config.topic, node)
    device = topics.announcement(config.discovery_prefix)
    async with connect(config, f"{client_id(config, node)}-clear-{secrets.token_hex(4)}") as client:
        await client.subscribe([(device, 1), (topics.everything, 1)])
        found = await _retained(client)
        for topic in found:
            await client.publish(topic, b"", qos=1, retain=True, timeout=CONNECT_TIMEOUT)
    announced = found.pop(device, None)
    entities = None if announced is None else len(platforms(announced))
    return Cleared(entities, len(found), found.get(topics.availability) == ONLINE)


async def _retained(client: Client) -> dict[str, bytes]:
    """The retained messages of the subscribed topics."""
    found: dict[str, bytes] = {}
    loop = asyncio.get_running_loop()
    with suppress(TimeoutError):
        async with asyncio.timeout(QUIET) as limit:
            async for message in client.messages:
                if message.retain and message.payload:
                    found[str(message.topic)] = message.payload
                    limit.reschedule(loop.time() + QUIET)
    return found
