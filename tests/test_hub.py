"""Fan-out that waits for nobody."""

import asyncio
from datetime import UTC, datetime

import pytest

from monitor.hub import Hub, LocalFeed, Subscription
from monitor.messages import BrokerState, Detection, Health, Message, Phase, Snapshot

NOW = datetime.now(UTC)


def detection(number: int) -> Detection:
    """One that can be told from others."""
    return Detection(
        id=str(number), node="n", source="s", model="m", label="l", phase=Phase.STARTED, started_at=NOW, score=1, peak=1
    )


def snapshot(level: float) -> Snapshot:
    """One that can be told from others."""
    return Snapshot(at=NOW, source="s", model="m", level=level, labels=())


def health() -> Health:
    """Of a monitor without sources."""
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
    """What it still gives until it ends."""
    async with asyncio.timeout(5):
        return [message async for message in subscription]


async def test_everyone_hears_what_they_asked_for_in_order() -> None:
    """Each listener gets the messages of its kinds, and no other."""
    hub = Hub()
    detections, both = hub.subscribe(Detection), hub.subscribe(Detection, Snapshot)
    for message in (detection(1), snapshot(-60), health(), detection(2)):
        hub.publish(message)
    hub.close()
    assert await rest(detections) == [detection(1), detection(2)]
    assert await rest(both) == [detection(1), snapshot(-60), detection(2)]
    assert hub.dropped == 0


async def test_a_slow_listener_loses_the_oldest_and_no_one_else_does() -> None:
    """What does not fit is counted, for this listener and in all."""
    hub = Hub()
    slow, quick = hub.subscribe(Detection, capacity=3), hub.subscribe(Detection)
    for number in range(10):
        hub.publish(detection(number))
    hub.close()
    assert [message.id for message in await rest(slow) if isinstance(message, Detection)] == ["7", "8", "9"]
    assert len(await rest(quick)) == 10
    assert (slow.dropped, quick.dropped, hub.dropped) == (7, 0, 7)


async def test_a_waiting_listener_is_woken_by_a_message_and_by_the_end() -> None:
    """It need not look again and again."""
    hub = Hub()
    listening = asyncio.create_task(rest(hub.subscribe(Snapshot)))
    await asyncio.sleep(0.01)
    hub.publish(snapshot(-50))
    await asyncio.sleep(0.01)
    assert not listening.done()
    hub.close()
    assert await listening == [snapshot(-50)]


async def test_one_who_comes_after_the_end_hears_nothing() -> None:
    """Its iteration ends at once."""
    hub = Hub()
    hub.publish(snapshot(-50))
    hub.close()
    assert await rest(hub.subscribe(Snapshot)) == []


async def test_publishing_never_waits() -> None:
    """Not for the listener that does not read, however much there is."""
    hub = Hub()
    hub.subscribe(Snapshot, capacity=1)
    for _ in range(1000):
        hub.publish(snapshot(-50))  # has no await in it that could hold up the caller
    assert hub.dropped == 999


@pytest.mark.parametrize("history", [0, 2])
async def test_a_display_begins_with_the_past(history: int) -> None:
    """Earlier detections first, then everything that is published, until the end."""
    hub = Hub()
    feed = LocalFeed(hub, "kitchen", [detection(-number) for number in range(history)])
    for message in (detection(1), snapshot(-50), health()):
        hub.publish(message)
    hub.close()
    assert feed.title == "kitchen"
    heard = [message async for message in feed.messages()]
    assert [type(message) for message in heard] == [Detection] * history + [Detection, Snapshot, Health]
    assert heard[history] == detection(1)
