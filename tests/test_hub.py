"""The hub: distribution of messages without waiting."""

import asyncio
from datetime import UTC, datetime

import pytest

from monitor.hub import Hub, LocalFeed, Subscription
from monitor.messages import BrokerState, Detection, Health, Message, Phase, Snapshot

NOW = datetime.now(UTC)


def detection(number: int) -> Detection:
    """A detection with this number."""
    return Detection(
        id=str(number), node="n", source="s", model="m", label="l", phase=Phase.STARTED, started_at=NOW, score=1, peak=1
    )


def snapshot(level: float) -> Snapshot:
    """A snapshot with this level."""
    return Snapshot(at=NOW, source="s", model="m", level=level, labels=())


def health() -> Health:
    """The health of a monitor without sources."""
    return Health(
        at=NOW,
        node="n",
        version="0",
        uptime=1.0,
        model="m",
        provider="p",
        load=0.0,
        inference_p50=0.0,
        inference_p95=0.0,
        broker=BrokerState.DISABLED,
    )


async def rest(subscription: Subscription) -> list[Message]:
    """All messages until the subscription ends."""
    async with asyncio.timeout(5):
        return [message async for message in subscription]


async def test_subscribers_get_messages_of_their_types_in_order() -> None:
    """Each subscriber gets the messages of its types, and no others."""
    hub = Hub()
    detections, both = hub.subscribe(Detection), hub.subscribe(Detection, Snapshot)
    for message in (detection(1), snapshot(-60), health(), detection(2)):
        hub.publish(message)
    hub.close()
    assert await rest(detections) == [detection(1), detection(2)]
    assert await rest(both) == [detection(1), snapshot(-60), detection(2)]
    assert hub.dropped == 0


async def test_only_a_slow_subscriber_loses_messages() -> None:
    """Dropped messages are the oldest, and are counted for the subscriber and in total."""
    hub = Hub()
    slow, quick = hub.subscribe(Detection, capacity=3), hub.subscribe(Detection)
    for number in range(10):
        hub.publish(detection(number))
    hub.close()
    assert [message.id for message in await rest(slow) if isinstance(message, Detection)] == ["7", "8", "9"]
    assert len(await rest(quick)) == 10
    assert (slow.dropped, quick.dropped, hub.dropped) == (7, 0, 7)


async def test_a_message_and_the_end_wake_a_subscriber() -> None:
    """A waiting subscriber gets a message at once, and ends with the hub."""
    hub = Hub()
    listening = asyncio.create_task(rest(hub.subscribe(Snapshot)))
    await asyncio.sleep(0.01)
    hub.publish(snapshot(-50))
    await asyncio.sleep(0.01)
    assert not listening.done()
    hub.close()
    assert await listening == [snapshot(-50)]


async def test_a_subscription_after_the_end_is_empty() -> None:
    """Iteration ends at once if the hub is closed."""
    hub = Hub()
    hub.publish(snapshot(-50))
    hub.close()
    assert await rest(hub.subscribe(Snapshot)) == []


async def test_publishing_never_waits() -> None:
    """A subscriber that does not read does not block the publisher."""
    hub = Hub()
    hub.subscribe(Snapshot, capacity=1)
    for _ in range(1000):
        hub.publish(snapshot(-50))  # has no await that could block the caller
    assert hub.dropped == 999


@pytest.mark.parametrize("history", [0, 2])
async def test_a_display_starts_with_the_history(history: int) -> None:
    """A local feed yields earlier detections, then new messages until the end."""
    hub = Hub()
    feed = LocalFeed(hub, "kitchen", [detection(-number) for number in range(history)])
    for message in (detection(1), snapshot(-50), health()):
        hub.publish(message)
    hub.close()
    assert feed.title == "kitchen"
    received = [message async for message in feed.messages()]
    assert [type(message) for message in received] == [Detection] * history + [Detection, Snapshot, Health]
    assert received[history] == detection(1)
