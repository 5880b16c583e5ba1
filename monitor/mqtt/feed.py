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
    Detection,
    DetectionAttributes,
    Health,
    Link,
    LinkState,
    Message,
    Phase,
    Snapshot,
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

    While the monitor or the broker is away, the feed waits; it yields a `Link` at each change.
    """

    def __init__(self, config: MqttConfig, node: str | None = None) -> None:
        self._config = config
        self._node = node
        self._identifier = f"{client_id(config, node or 'any')}-view-{secrets.token_hex(4)}"
        self._health: Health | None = None
        self._link = Link(LinkState.DISCONNECTED, None)
        self._sounds = SoundStates()
        self._latest: deque[Detection] = deque(maxlen=100)
        self._complaints: set[str] = set()

    @property
    def title(self) -> str:
        """The monitor and the broker."""
        return f"{self._node or 'any monitor'} at {endpoint(self._config)}"

    async def messages(self) -> AsyncIterator[Message | Link]:
        """All messages from now on, without end. Raises `BrokerError` if the first connection fails."""
        pause, connected = pauses(), False
        while True:
            try:
                async with connect(self._config, self._identifier) as client:
                    pause, connected = pauses(), True
                    yield self._linked(LinkState.WAITING)
                    async for message in self._receive(client):
                        yield message
            except BrokerError as error:
                if not connected:
                    raise
                yield self._linked(LinkState.DISCONNECTED, str(error))
            await asyncio.sleep(next(pause))

    async def _receive(self, client: Client) -> AsyncIterator[Message | Link]:
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
                yield self._linked(LinkState.ATTACHED)
                await self._attach(client, Topics(self._config.topic, where.node))
            elif self._node is not None:
                self._latest.clear()
                yield self._linked(LinkState.OFFLINE, now=not received.retain)

    async def _attach(self, client: Client, topics: Topics) -> None:
        """Subscribe to the monitor; the broker then sends what it retains, also over an earlier subscription.

        It sends this in the order of the topics: with the health, all sounds that are on are known.
        """
        self._latest.clear()
        first = topics.state(ANY, ANY), topics.attributes(ANY, ANY), topics.event(ANY), topics.health
        await client.subscribe([*((topic, 1) for topic in first), (topics.live(ANY), 0)])

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

    def _linked(self, state: LinkState, reason: str = "", *, now: bool = True) -> Link:
        """The new state of the link; it keeps its time while the state stays. `now`: whether it is known to be new."""
        since = datetime.now(UTC) if now else None
        self._link = Link(state, self._link.since if state is self._link.state else since, reason)
        return self._link

    def _complain(self, topic: str, error: ValueError) -> None:
        if topic not in self._complaints and len(self._complaints) < MAX_COMPLAINTS:
            self._complaints.add(topic)
            log.warning("ignoring invalid messages on %s: %s", topic, error)
