"""Hands every message to everyone who listens, and never waits for any of them."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence

from monitor.messages import Detection, Health, Message, Snapshot


class Subscription:
    """One listener's bounded queue. When the listener is slow the oldest message goes, and is counted."""

    def __init__(self, kinds: tuple[type[Message], ...], capacity: int) -> None:
        self.kinds = kinds
        self.dropped = 0
        self._queue: deque[Message] = deque()
        self._capacity = capacity
        self._wake = asyncio.Event()
        self._closed = False

    def offer(self, message: Message) -> None:
        """Queue the message; never blocks."""
        if len(self._queue) == self._capacity:
            self._queue.popleft()
            self.dropped += 1
        self._queue.append(message)
        self._wake.set()

    def close(self) -> None:
        """End the listener's iteration once it has taken what is queued."""
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
    """The one place where messages fan out."""

    def __init__(self) -> None:
        self._subscriptions: list[Subscription] = []
        self._closed = False

    def subscribe(self, kind: type[Message], *more: type[Message], capacity: int = 256) -> Subscription:
        """Listen to messages of these kinds from now on."""
        subscription = Subscription((kind, *more), capacity)
        if self._closed:
            subscription.close()
        self._subscriptions.append(subscription)
        return subscription

    def wanted(self, kind: type[Message]) -> bool:
        """Does anyone listen to this kind? What nobody wants need not be made."""
        return any(kind in subscription.kinds for subscription in self._subscriptions)

    def publish(self, message: Message) -> None:
        """Give the message to every listener of its kind."""
        for subscription in self._subscriptions:
            if isinstance(message, subscription.kinds):
                subscription.offer(message)

    def close(self) -> None:
        """No more messages: every listener's iteration ends after what it still has queued."""
        self._closed = True
        for subscription in self._subscriptions:
            subscription.close()

    @property
    def dropped(self) -> int:
        """Messages that slow listeners lost, in all."""
        return sum(subscription.dropped for subscription in self._subscriptions)


class LocalFeed:
    """What a display in this process sees: the recent past, then everything from now on."""

    def __init__(self, hub: Hub, title: str, history: Sequence[Detection] = ()) -> None:
        self.title = title
        self._history = history
        self._subscription = hub.subscribe(Detection, Snapshot, Health)

    async def messages(self) -> AsyncIterator[Message]:
        """Earlier detections, then messages until the hub closes."""
        for detection in self._history:
            yield detection
        async for message in self._subscription:
            yield message
