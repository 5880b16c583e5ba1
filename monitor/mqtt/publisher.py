"""Tells the broker what the monitor hears, for as long as the monitor runs and whatever the broker does."""

import asyncio
import logging
import math
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress

import aiomqtt

from monitor.config import MqttConfig
from monitor.errors import BrokerError
from monitor.hub import Subscription
from monitor.messages import BrokerState
from monitor.mqtt.client import Client
from monitor.mqtt.connection import client_id, connect, pauses, while_connected
from monitor.mqtt.explain import address
from monitor.mqtt.outbox import BATCH, Outbox, Outgoing
from monitor.mqtt.topics import OFFLINE, ONLINE, Topics

DRAIN = 2.0
"""Seconds that the broker has, at the end, to take what is left."""

STEADY = 5.0
"""Seconds a connection must hold to count as good; after that a loss is answered by a quick new attempt."""

_log = logging.getLogger(__name__)


class Publisher:
    """Forwards a subscription's messages to the broker; `on_state` hears where the connection stands, and why."""

    def __init__(
        self,
        config: MqttConfig,
        node: str,
        sources: Sequence[str],
        labels: Sequence[str],
        subscription: Subscription,
        on_state: Callable[[BrokerState, str], None],
    ) -> None:
        self._config = config
        self._node = node
        self._topics = Topics(config.topic, node)
        self._outbox = Outbox(self._topics, sources, labels, config.live_interval)
        self._subscription = subscription
        self._on_state = on_state
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._problem = ""
        self._connected_at = math.inf

    @property
    def dropped(self) -> int:
        """Events lost because the broker stayed away for too long."""
        return self._outbox.dropped

    async def run(self) -> None:
        """Publish until the subscription ends. A broker that is away or refuses us never ends this."""
        async with asyncio.TaskGroup() as tasks:
            link = tasks.create_task(self._stay_connected(), name="mqtt")
            async for message in self._subscription:
                self._outbox.put(message)
                self._wake.set()
            self._closing.set()
            self._wake.set()
            await asyncio.wait([link], timeout=DRAIN)
            link.cancel()

    async def _stay_connected(self) -> None:
        loop = asyncio.get_running_loop()
        pause = pauses()
        self._on_state(BrokerState.CONNECTING, _where(self._config))
        while not self._closing.is_set():
            self._connected_at = math.inf
            try:
                await self._session()
            except BrokerError as error:
                self._failed(str(error))
            if loop.time() - self._connected_at > STEADY:
                pause = pauses()
            with suppress(TimeoutError):
                async with asyncio.timeout(next(pause)):
                    await self._closing.wait()

    async def _session(self) -> None:
        """One connection, until it is lost or all is said."""
        will = aiomqtt.Will(self._topics.availability, OFFLINE, qos=1, retain=True)
        async with connect(self._config, client_id(self._config, self._node), will) as client:
            self._connected_at = asyncio.get_running_loop().time()
            self._problem = ""
            _log.info("connected to the MQTT broker at %s", _where(self._config))
            self._on_state(BrokerState.CONNECTED, _where(self._config))
            await while_connected(client, self._talk(client))

    async def _talk(self, client: Client) -> None:
        """The present first, and only then `online`: nobody takes what was retained before for the present."""
        await self._send(client, self._outbox.present())
        await self._send(client, [Outgoing(self._topics.availability, ONLINE, retain=True)])
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            if batch := self._outbox.batch(loop.time()):
                await self._send(client, batch)
                self._outbox.sent(batch)
            elif self._closing.is_set():
                break
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._outbox.rest(loop.time())):
                        await self._wake.wait()
        await self._send(client, [Outgoing(self._topics.availability, OFFLINE, retain=True)])

    async def _send(self, client: Client, outgoing: Sequence[Outgoing]) -> None:
        """Send, a few at a time but in order, and return once the broker has acknowledged all."""
        patience = 3.0 * self._config.keepalive  # a dead line is noticed before
        for first in range(0, len(outgoing), BATCH):
            await asyncio.gather(
                *(
                    client.publish(one.topic, one.payload, one.qos, one.retain, timeout=patience)
                    for one in outgoing[first : first + BATCH]
                )
            )

    def _failed(self, problem: str) -> None:
        """Say so, once for each cause."""
        if problem != self._problem:
            _log.warning("MQTT: %s; trying again until it works", problem)
            self._problem = problem
            self._on_state(BrokerState.FAILED, problem)


async def probe(config: MqttConfig, node: str) -> str:
    """Connect once, publish nothing, and say to whom and as whom. Raises `BrokerError`."""
    async with connect(config, f"{client_id(config, node)}-check-{secrets.token_hex(4)}"):
        return f"{_where(config)} " + (f"as {config.username}" if config.username else "without a user")


def _where(config: MqttConfig) -> str:
    host, port = address(config)
    return f"{host}:{port}"
