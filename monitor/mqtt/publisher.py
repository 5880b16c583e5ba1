"""Publishes the monitor's messages as long as it runs, whatever the broker does."""

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from monitor.config.schema import MqttConfig
from monitor.errors import BrokerError
from monitor.hub import Subscription
from monitor.messages import BrokerState, Detection, Recorded
from monitor.mqtt.client import Client
from monitor.mqtt.connection import client_id, connect, pauses, together
from monitor.mqtt.explain import endpoint
from monitor.mqtt.outbox import BATCH, Outbox, Outgoing
from monitor.mqtt.topics import OFFLINE, ONLINE, Topics

DRAIN = 2.0
"""Seconds at the end for the broker to take the last messages."""

STEADY = 5.0
"""Seconds after which a connection counts as good, so that its loss is followed by quick attempts again."""

REPLAY_RATE = 500.0
"""Most late detections a second on the log topic, so that subscribers can keep up."""

RECALL = 1000
"""Detections of earlier runs that are searched for the last one of each sound."""

READ_AGAIN = 2.0
"""Seconds without a cleared topic after which the broker is asked for more retained ones."""

LOOK_AGAIN = 30.0
"""Seconds after which the backlog is read again, in case it could not be read."""

log = logging.getLogger(__name__)


class Send(Protocol):
    """Publishes on the present connection."""

    def __call__(self, topic: str, payload: bytes, *, retain: bool = False) -> Coroutine[Any, Any, None]:
        """Publish with QoS 1, and return once the broker has acknowledged it."""


class Companion(Protocol):
    """Uses the publisher's connections for topics of its own, as long as the publisher lives."""

    @property
    def filters(self) -> Sequence[str]:
        """The topics that it subscribes to on each connection."""

    async def connected(self, send: Send) -> None:
        """A new connection is up, and the present state has been published."""

    async def received(self, topic: str, payload: bytes, send: Send, *, retained: bool) -> None:
        """A message on one of its topics. Must not raise, whatever the payload."""


class Backlog(Protocol):
    """The recorded detections, in order, with a persistent mark of those that the broker has."""

    async def pending(self, most: int) -> Sequence[Recorded]:
        """The oldest that the broker has not acknowledged, at most so many; the same ones until it has."""

    async def recent(self, most: int) -> Sequence[Detection]:
        """The newest, oldest of them first, whether acknowledged or not."""

    async def acknowledge(self, recorded: Sequence[Recorded]) -> None:
        """The broker has these, the oldest pending ones."""


class Publisher:
    """Forwards a subscription's messages, and the backlog's detections, to the broker.

    New messages go out at once. The log topic follows at its own pace, in the backlog's order, and never delays them.
    """

    def __init__(
        self,
        config: MqttConfig,
        node: str,
        sources: Sequence[str],
        labels: Sequence[str],
        subscription: Subscription,
        backlog: Backlog,
        on_state: Callable[[BrokerState, str], None],
    ) -> None:
        """The subscription's detections are in the backlog already; `on_state` receives the connection's state."""
        self._config = config
        self._node = node
        self._topics = Topics(config.topic, node)
        self._outbox = Outbox(self._topics, sources, labels, config.live_interval, config.level)
        self._subscription = subscription
        self._backlog = backlog
        self._on_state = on_state
        self._companions: list[Companion] = []
        self._news = asyncio.Event()
        self._again = asyncio.Event()
        self._recorded = asyncio.Event()
        self._closing = asyncio.Event()
        self._problem = ""
        self._connected_at = math.inf
        self._cleared = 0
        """Number of retained topics that were cleared."""

    @property
    def dropped(self) -> int:
        """Number of events that the broker did not get in time, or at all."""
        return self._outbox.dropped

    def add(self, companion: Companion) -> None:
        """Give this companion a share in the connections; before `run`."""
        self._companions.append(companion)

    async def run(self) -> None:
        """Publish until the subscription ends. No failure of the broker ends this."""
        loop = asyncio.get_running_loop()
        self._outbox.recall(await self._backlog.recent(RECALL))
        async with asyncio.TaskGroup() as tasks:
            link = tasks.create_task(self._stay_connected(), name="mqtt")
            async for message in self._subscription:
                self._outbox.put(message, loop.time())
                self._news.set()
                if isinstance(message, Detection):
                    self._recorded.set()
            for event in (self._closing, self._news, self._again, self._recorded):
                event.set()
            await asyncio.wait([link], timeout=DRAIN)
            link.cancel()

    def repeat(self) -> None:
        """Publish everything retained again, the companions first, for a subscriber that has just started."""
        self._again.set()

    async def _stay_connected(self) -> None:
        loop = asyncio.get_running_loop()
        pause = pauses()
        self._on_state(BrokerState.CONNECTING, endpoint(self._config))
        while not self._closing.is_set():
            self._connected_at = math.inf
            try:
                await self._session()
            except BrokerError as error:
                self._failed(str(error))
            if loop.time() - self._connected_at > STEADY:
                pause = pauses()
            await _set_within(self._closing, next(pause))

    async def _session(self) -> None:
        """One connection, until it is lost or everything is published."""
        identifier = client_id(self._config, self._node)
        async with connect(self._config, identifier, self._topics.availability) as client:
            self._connected_at = asyncio.get_running_loop().time()
            self._problem = ""
            log.info("connected to the MQTT broker at %s", endpoint(self._config))
            self._on_state(BrokerState.CONNECTED, endpoint(self._config))
            work = (self._receive(client), self._receive_rest(client), self._publish_all(client))
            await together(*work, until=asyncio.FIRST_COMPLETED)

    async def _receive(self, client: Client) -> None:
        """Pass each received message to the companions that subscribed to it."""
        send = partial(self._publish, client)
        async for message in client.messages:
            for companion in self._companions:
                if any(message.topic.matches(each) for each in companion.filters):
                    await companion.received(str(message.topic), message.payload, send, retained=message.retain)

    async def _receive_rest(self, client: Client) -> None:
        """Subscribe again as long as this brings messages that are missed, or topics that are cleared.

        A broker sends only so many retained messages at once, often 1,000, and only so many can wait here.
        """
        seen = waiting = (0, self._cleared)
        while True:
            await asyncio.sleep(READ_AGAIN)
            now = (client.missed, self._cleared)
            if now[0] and not waiting[0]:
                log.warning("MQTT: ignored %d messages: too many came at once", now[0])
            if now == waiting != seen:
                seen = now
                await client.subscribe(self._filters)
            waiting = now

    @property
    def _filters(self) -> list[tuple[str, int]]:
        """The topics of all companions, with their QoS."""
        return [(each, 1) for companion in self._companions for each in companion.filters]

    async def _publish_all(self, client: Client) -> None:
        """Publish the present state before `online`: subscribers then never take old retained values for the present,
        and may send commands at once."""
        if self._filters:
            await client.subscribe(self._filters)
        await self._send(client, self._outbox.present(asyncio.get_running_loop().time()))
        await self._publish(client, self._topics.availability, ONLINE, retain=True)
        for companion in self._companions:
            await companion.connected(partial(self._publish, client))
        await together(self._publish_news(client), self._publish_log(client), self._publish_again(client))
        await self._publish(client, self._topics.availability, OFFLINE, retain=True)

    async def _publish_news(self, client: Client) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._news.clear()
            if batch := self._outbox.batch(loop.time()):
                await self._send(client, batch)
            elif self._closing.is_set():
                break
            else:
                await _set_within(self._news, self._outbox.rest(loop.time()))

    async def _publish_again(self, client: Client) -> None:
        self._again.clear()
        while not self._closing.is_set():
            await self._again.wait()
            if not self._closing.is_set():
                self._again.clear()
                for companion in self._companions:
                    await companion.connected(partial(self._publish, client))
                await self._publish(client, self._topics.availability, ONLINE, retain=True)
                self._outbox.again()
                self._news.set()

    async def _publish_log(self, client: Client) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._recorded.clear()
            if recorded := await self._backlog.pending(BATCH):
                outgoing = [self._outbox.log(each, loop.time()) for each in recorded]
                late = sum(self._outbox.replayed(each, loop.time()) for each in recorded)
                await self._send(client, outgoing)
                await self._backlog.acknowledge(recorded)
                await asyncio.sleep(late / REPLAY_RATE)
            elif self._closing.is_set():
                break
            else:
                await _set_within(self._recorded, LOOK_AGAIN)

    async def _send(self, client: Client, outgoing: Sequence[Outgoing]) -> None:
        """Send these in order, a batch at a time, and return once the broker has acknowledged all."""
        for first in range(0, len(outgoing), BATCH):
            await asyncio.gather(
                *(
                    self._publish(client, one.topic, one.payload, retain=one.retain, qos=one.qos)
                    for one in outgoing[first : first + BATCH]
                )
            )

    async def _publish(self, client: Client, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1) -> None:
        patience = 3.0 * self._config.keepalive  # a dead connection is noticed earlier
        await client.publish(topic, payload, qos, retain, timeout=patience)
        self._cleared += retain and not payload

    def _failed(self, problem: str) -> None:
        """Log each cause once."""
        if problem != self._problem:
            log.warning("MQTT: %s; will keep trying", problem)
            self._problem = problem
            self._on_state(BrokerState.FAILED, problem)


async def _set_within(event: asyncio.Event, seconds: float | None) -> None:
    """Return once the event is set or the time is up."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
