"""The feed for a display on any machine: what a running monitor publishes at the broker."""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from monitor.config.schema import MqttConfig
from monitor.errors import BrokerError
from monitor.messages import (
    BrokerState,
    Detection,
    DetectionAttributes,
    Health,
    Message,
    Phase,
    Snapshot,
    SourceState,
)
from monitor.mqtt.client import Client
from monitor.mqtt.connection import client_id, connect, pauses
from monitor.mqtt.explain import endpoint
from monitor.mqtt.topics import ANY, ANY_SOUND, OFF, ON, ONLINE, PROBLEM, Address, Topics, parse_topic

MAX_COMPLAINTS = 20
"""Most log lines about invalid payloads, one per topic."""

MAX_SOUNDS = 2000
"""Most sounds, of all sources, whose retained state is followed."""

_DECODERS: dict[str, msgspec.json.Decoder[Message]] = {
    "event": msgspec.json.Decoder(Detection),
    "live": msgspec.json.Decoder(Snapshot),
    "health": msgspec.json.Decoder(Health),
}
_ATTRIBUTES = msgspec.json.Decoder(DetectionAttributes)
T = TypeVar("T")
log = logging.getLogger(__name__)


def decode_message(leaf: str, payload: bytes) -> Message:
    """The message of an event, live or health topic. Raises `ValueError` if it is invalid."""
    return _decode(_DECODERS[leaf], payload)


def _decode(decoder: msgspec.json.Decoder[T], payload: bytes) -> T:
    try:
        return decoder.decode(payload)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


class SoundStates:
    """The last detection of each sound, from the topics `state` and `attributes`, which the broker retains.

    They say what is on when a display attaches, and what an event that got lost would have said. The two topics of a
    sound arrive in any order: as long as they contradict each other, nothing is known.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[bool | None, DetectionAttributes | None]] = {}

    def take(self, where: Address, payload: bytes, model: str) -> Detection | None:
        """Take one payload in; return the detection that follows. Raises `ValueError` if the payload is invalid."""
        if where.source is None or where.sound is None or where.sound in (ANY_SOUND, PROBLEM):
            return None
        key = where.source, where.sound
        if not payload:  # a cleared topic
            self._known.pop(key, None)
            return None
        if key not in self._known and len(self._known) >= MAX_SOUNDS:
            raise ValueError("too many sounds")
        on, attributes = self._known.get(key, (None, None))
        if where.leaf == "attributes":
            attributes = _decode(_ATTRIBUTES, payload)
        elif payload in (ON, OFF):
            on = payload == ON
        else:
            raise ValueError("expected ON or OFF")
        self._known[key] = on, attributes
        if on is None or attributes is None or on is not (attributes.ended_at is None):
            return None
        return Detection(
            id=attributes.id,
            node=where.node,
            source=where.source,
            model=model,
            label=attributes.label,
            phase=Phase.STARTED if on else Phase.ENDED,
            started_at=attributes.started_at,
            ended_at=attributes.ended_at,
            score=attributes.score,
            peak=attributes.peak,
        )


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
        self._sounds = SoundStates()
        self._latest: deque[Detection] = deque(maxlen=100)
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
                if (message := self._understand(where, topic, payload)) is not None:
                    yield message
            elif payload == ONLINE:
                self._node = where.node
                await self._attach(client, Topics(self._config.topic, where.node))
            elif self._node is not None:
                yield self._gone(f"the monitor {self._node} is offline")

    async def _attach(self, client: Client, topics: Topics) -> None:
        """Subscribe to the monitor; the broker then sends what it retains, also over an earlier subscription."""
        self._latest.clear()
        retained = topics.health, topics.state(ANY, ANY), topics.attributes(ANY, ANY)
        await client.subscribe([*((topic, 1) for topic in (*retained, topics.event(ANY))), (topics.live(ANY), 0)])

    def _understand(self, where: Address, topic: str, payload: bytes) -> Message | None:
        """The message for the display; None if it is invalid, or says nothing new."""
        try:
            if where.leaf in ("state", "attributes"):
                model = self._health.model if self._health is not None else ""
                message: Message | None = self._sounds.take(where, payload, model)
            else:
                message = decode_message(where.leaf, payload)
        except ValueError as error:
            self._complain(topic, error)
            return None
        if isinstance(message, Health):
            self._health = message
        if isinstance(message, Detection):
            if message in self._latest:
                return None
            self._latest.append(message)
        return message

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
