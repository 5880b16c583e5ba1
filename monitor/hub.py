"""Distributes messages to subscribers, and never waits for them."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence

from monitor.messages import Detection, Health, Message, Snapshot


class Subscription:
    """The bounded queue of one subscriber. If it is full, the oldest message is dropped and counted."""

    def __init__(self, kinds: tuple[type[Message], ...], capacity: int) -> None:
        self.kinds = kinds
        self.dropped = 0
        self._queue: deque[Message] = deque()
        self._capacity = capacity
        self._wake = asyncio.Event()
        self._closed = False

    def offer(self, message: Message) -> None:
        """Add a message to the queue; never blocks."""
        if len(self._queue) == self._capacity:
            self._queue.popleft()
            self.dropped += 1
        self._queue.append(message)
        self._wake.set()

    def close(self) -> None:
        """End the iteration after the queued messages."""
        self._closed = True
        self._wake.set()

    async def __aiter__(self) -> AsyncIterator[Message]:
        while True:
            while self._queue:
                yield self._queue.popleft()
            if self._closed:
                return
            self._wake.clear()
            await self._wake.wait()


class Hub:
    """Publishes each message to all subscribers of its type."""

    def __init__(self) -> None:
        self._subscriptions: list[Subscription] = []
        self._closed = False

    def subscribe(self, kind: type[Message], *more: type[Message], capacity: int = 256) -> Subscription:
        """Return a subscription to new messages of these types."""
        subscription = Subscription((kind, *more), capacity)
        if self._closed:
            subscription.close()
        self._subscriptions.append(subscription)
        return subscription

    def wanted(self, kind: type[Message]) -> bool:
        """Return whether this type has a subscriber; messages without one need not be built."""
        return any(kind in subscription.kinds for subscription in self._subscriptions)

    def publish(self, message: Message) -> None:
        """Add the message to the queue of every subscriber of its type."""
        for subscription in self._subscriptions:
            if isinstance(message, subscription.kinds):
                subscription.offer(message)

    def close(self) -> None:
        """End every subscriber's iteration after its queued messages."""
        self._closed = True
        for subscription in self._subscriptions:
            subscription.close()

    @property
    def dropped(self) -> int:
        """Number of messages that slow subscribers lost."""
        return sum(subscription.dropped for subscription in self._subscriptions)


class LocalFeed:
    """The feed of a display in this process: recent detections, then new messages."""

    def __init__(self, hub: Hub, title: str, history: Sequence[Detection] = ()) -> None:
        self.title = title
        self._history = history
        self._subscription = hub.subscribe(Detection, Snapshot, Health)

    async def messages(self) -> AsyncIterator[Message]:
        """Yield earlier detections, then messages until the hub closes."""
        for detection in self._history:
            yield detection
        async for message in self._subscription:
            yield message
