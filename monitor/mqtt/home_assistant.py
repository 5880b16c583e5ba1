"""Announces the monitor to Home Assistant, and removes entities that are no longer configured."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress

from monitor.mqtt.announcement import Device, announcement, platforms
from monitor.mqtt.publisher import Send
from monitor.mqtt.topics import ONLINE, birth_topics

SETTLE = (1.0, 5.0)
"""Seconds to wait after Home Assistant's start, at random, so that its devices do not all publish at once."""

PATIENCE = 0.5
"""Seconds that the broker has to send the previous announcement; if it is later, old entities go only then."""


class HomeAssistant:
    """The companion that announces the device after each connection and each start of Home Assistant."""

    def __init__(self, device: Device, discovery_prefix: str, repeat: Callable[[], None]) -> None:
        """`repeat` makes the publisher publish everything retained again, its companions first."""
        self._topic = device.topics.announcement(discovery_prefix)
        self._births = birth_topics(discovery_prefix)
        self._payload = announcement(device)
        self._device = device
        self._repeat = repeat
        self._gone: dict[str, str] = {}
        self._looked = asyncio.Event()

    @property
    def filters(self) -> Sequence[str]:
        """Home Assistant's birth message, and the previous announcement."""
        return [self._topic, *sorted(self._births)]

    async def connected(self, send: Send) -> None:
        """Announce the device as it is configured now."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._looked.wait()
        self._looked.set()
        await self._announce(send)

    async def received(self, topic: str, payload: bytes, send: Send, *, retained: bool) -> None:
        """Handle Home Assistant's birth message, or the previous announcement."""
        if topic in self._births:
            if payload == ONLINE and not retained:
                asyncio.get_running_loop().call_later(random.uniform(*SETTLE), self._repeat)  # noqa: S311 - no secret
        elif retained:
            ours = platforms(self._payload)
            self._gone = {key: old for key, old in platforms(payload).items() if ours.get(key) != old}
            if self._gone and self._looked.is_set():
                await self._announce(send)
            self._looked.set()

    async def _announce(self, send: Send) -> None:
        """Announce removed entities as removed first: Home Assistant keeps those that are merely left out."""
        if self._gone:
            await send(self._topic, announcement(self._device, self._gone), retain=True)
            self._gone = {}
        await send(self._topic, self._payload, retain=True)
