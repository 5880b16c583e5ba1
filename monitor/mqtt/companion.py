"""What talks over the publisher's connection beside it: discovery, commands."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

Send = Callable[[str, bytes, bool], Awaitable[None]]
"""Publish (topic, payload, retain) with QoS 1; returns once the broker has it."""


class Companion(Protocol):
    """Lives as long as the publisher, over one connection after another."""

    @property
    def filters(self) -> Sequence[str]:
        """The topics that it wants to hear of; subscribed to on each connection."""

    async def connected(self, send: Send) -> None:
        """A new connection stands, and the present has been published."""

    async def received(self, topic: str, payload: bytes, retained: bool, send: Send) -> None:
        """A message on one of its topics. Must not raise for anything that a stranger may send."""
