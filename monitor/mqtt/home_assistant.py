"""Announces the monitor to Home Assistant, again whenever that starts, and takes back what is no longer there."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress

from monitor.mqtt.companion import Send
from monitor.mqtt.discovery import Device, announcement, config_topic, platforms
from monitor.mqtt.topics import ONLINE

BIRTH = "homeassistant/status"
"""Where Home Assistant says `online` once it has started."""

SETTLE = (1.0, 5.0)
"""Seconds to wait after that, by chance, so that not all devices speak at once."""

PATIENCE = 0.5
"""Seconds that the broker has to hand out what was announced before; if it is late, ghosts go only then."""


class HomeAssistant:
    """The publisher's companion; `again` makes the publisher tell everything again, beginning with its companions."""

    def __init__(self, device: Device, discovery_prefix: str, again: Callable[[], None]) -> None:
        self._config = config_topic(discovery_prefix, device.topics)
        self._births = {BIRTH, f"{discovery_prefix}/status"}
        self._payload = announcement(device)
        self._device = device
        self._again = again
        self._gone: dict[str, str] = {}
        self._looked = asyncio.Event()

    @property
    def filters(self) -> Sequence[str]:
        """Home Assistant's birth, and what was announced before."""
        return [self._config, *sorted(self._births)]

    async def connected(self, send: Send) -> None:
        """Announce the device as it is configured now."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._looked.wait()
        self._looked.set()
        await self._announce(send)

    async def received(self, topic: str, payload: bytes, retained: bool, send: Send) -> None:
        """Home Assistant has started, or this is what was announced before."""
        if topic in self._births:
            if payload == ONLINE and not retained:
                asyncio.get_running_loop().call_later(random.uniform(*SETTLE), self._again)  # noqa: S311 - no secret
        elif retained:
            ours = platforms(self._payload)
            self._gone = {key: old for key, old in platforms(payload).items() if ours.get(key) != old}
            if self._gone and self._looked.is_set():
                await self._announce(send)
            self._looked.set()

    async def _announce(self, send: Send) -> None:
        """What is gone is first announced as such: Home Assistant keeps what is merely no longer mentioned."""
        if self._gone:
            await send(self._config, announcement(self._device, self._gone), True)
            self._gone = {}
        await send(self._config, self._payload, True)
