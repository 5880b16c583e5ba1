"""The feed for a display on any machine: what a running monitor publishes at the broker."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec

from monitor.config.schema import MqttConfig
from monitor.errors import BrokerError
from monitor.messages import BrokerState, Detection, Health, Message, Snapshot, SourceState
from monitor.mqtt.client import Client
from monitor.mqtt.connection import client_id, connect, pauses
from monitor.mqtt.explain import endpoint
from monitor.mqtt.topics import ANY, ONLINE, Topics, parse_topic

MAX_COMPLAINTS = 20
"""Most log lines about invalid payloads, one per topic."""

_DECODERS: dict[str, msgspec.json.Decoder[Message]] = {
    "event": msgspec.json.Decoder(Detection),
    "live": msgspec.json.Decoder(Snapshot),
    "health": msgspec.json.Decoder(Health),
}
log = logging.getLogger(__name__)


def decode_message(leaf: str, payload: bytes) -> Message:
    """The message of an event, live or health topic. Raises `ValueError` if it is invalid."""
    try:
        return _DECODERS[leaf].decode(payload)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


class MqttFeed:
    """The messages of one monitor, through the broker: of `node`, or of the first monitor that is online.

    While the monitor or the broker is away, the feed waits; it yields a `Health` in which the broker has failed and
    every source is lost.
    """

    def __init__(self, config: MqttConfig, node: str | None = None) -> None:
        self._config = config
        self._node = node
        self._identifier = f"{client_id(config, node or 'any')}-view-{secrets.token_hex(4)}"
        self._health: Health | None = None
        self._complaints: set[str] = set()

    @property
    def title(self) -> str:
        """The monitor and the broker."""
        return f"{self._node or 'any monitor'} at {endpoint(self._config)}"

    async def messages(self) -> AsyncIterator[Message]:
        """All messages from now on, without end. Raises `BrokerError` if the first connection fails."""
        pause, connected = pauses(), False
        while True:
            try:
                async with connect(self._config, self._identifier) as client:
                    pause, connected = pauses(), True
                    async for message in self._receive(client):
                        yield message
            except BrokerError as error:
                if not connected:
                    raise
                yield self._gone(str(error))
            await asyncio.sleep(next(pause))

    async def _receive(self, client: Client) -> AsyncIterator[Message]:
        """The messages of one connection: wait until the monitor is online, then subscribe to it."""
        await client.subscribe(Topics(self._config.topic, self._node or ANY).availability, qos=1)
        async for received in client.messages:
            topic, payload = str(received.topic), received.payload
            where = parse_topic(self._config.topic, topic)
            if where is None or self._node not in (None, where.node):
                continue
            if where.leaf != "availability":
                try:
                    message = decode_message(where.leaf, payload)
                except ValueError as error:
                    self._complain(topic, error)
                    continue
                if isinstance(message, Health):
                    self._health = message
                yield message
            elif payload == ONLINE:
                self._node = where.node
                await self._attach(client, Topics(self._config.topic, where.node))
            elif self._node is not None:
                yield self._gone(f"the monitor {self._node} is offline")

    async def _attach(self, client: Client, topics: Topics) -> None:
        await client.subscribe([(topics.health, 1), (topics.event(ANY), 1), (topics.live(ANY), 0)])

    def _gone(self, reason: str) -> Health:
        """The last health, changed to show that the monitor or the broker is away."""
        last = self._health or Health(
            at=datetime.now(UTC),
            node=self._node or "",
            version="",
            uptime=0.0,
            model="",
            provider="",
            load=0.0,
            inference_p50=0.0,
            inference_p95=0.0,
            broker=BrokerState.FAILED,
        )
        sources = tuple(
            msgspec.structs.replace(source, state=SourceState.LOST, reason=reason) for source in last.sources
        )
        return msgspec.structs.replace(last, broker=BrokerState.FAILED, broker_detail=reason, sources=sources)

    def _complain(self, topic: str, error: ValueError) -> None:
        if topic not in self._complaints and len(self._complaints) < MAX_COMPLAINTS:
            self._complaints.add(topic)
            log.warning("ignoring invalid messages on %s: %s", topic, error)
