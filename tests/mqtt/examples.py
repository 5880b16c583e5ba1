"""Example messages, a client that records every message, and a running publisher."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiomqtt

from monitor.config.schema import MqttConfig
from monitor.hub import Hub
from monitor.messages import (
    BrokerState,
    Detection,
    Health,
    LabelScore,
    Phase,
    Recorded,
    Snapshot,
    SourceHealth,
    SourceState,
)
from monitor.mqtt.publisher import Companion, Publisher

BASE = "sound-monitor/box"
LABELS = ("Smoke alarm", "Dog")


def detection(phase: Phase = Phase.STARTED, *, id: str = "1", label: str = "Smoke alarm") -> Detection:  # noqa: A002
    """A detection of the source `hall`, in the past."""
    return Detection(
        id=id,
        node="box",
        source="hall",
        model="tiny",
        label=label,
        phase=phase,
        started_at=datetime(2025, 5, 4, 3, 2, 1, 500_000, tzinfo=UTC),
        ended_at=datetime(2025, 5, 4, 3, 2, 9, tzinfo=UTC) if phase is Phase.ENDED else None,
        score=0.75,
        peak=0.875,
    )


def snapshot(level: float = -40.0, source: str = "hall") -> Snapshot:
    """A snapshot, identified by its level."""
    at = datetime(2025, 5, 4, tzinfo=UTC)
    return Snapshot(at=at, source=source, model="tiny", level=level, labels=(LabelScore("Dog", 0.5, True),))


def health(state: SourceState = SourceState.LISTENING) -> Health:
    """The health of a monitor with one source."""
    source = SourceHealth(
        source="hall",
        device="Virtual microphone",
        state=state,
        captured=12.5,
        overflows=0,
        windows_done=48,
        windows_dropped=0,
        lag=0.1,
        reopened=0,
    )
    return Health(
        at=datetime(2025, 5, 4, tzinfo=UTC),
        node="box",
        version="1",
        uptime=12.5,
        model="tiny",
        provider="CPUExecutionProvider",
        load=0.25,
        inference_p50=0.01,
        inference_p95=0.02,
        broker=BrokerState.CONNECTED,
        sources=(source,),
    )


async def eventually(condition: Callable[[], object], within: float = 20.0) -> None:
    """Return once the condition holds; fail after `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "the condition never became true"
        await asyncio.sleep(0.01)


@dataclass
class Recorder:
    """A client at the broker, and every message since it connected."""

    client: aiomqtt.Client
    messages: list[aiomqtt.Message] = field(default_factory=list)

    def payloads(self, topic: str) -> list[bytes]:
        """All payloads on one topic below `BASE`, oldest first."""
        return [message.payload for message in self.messages if str(message.topic) == f"{BASE}/{topic}"]

    def last(self, topic: str) -> bytes | None:
        """The newest payload on one topic below `BASE`."""
        return next(reversed(self.payloads(topic)), None)


@asynccontextmanager
async def listening(port: int) -> AsyncIterator[Recorder]:
    """Record every message, retained ones included."""
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe("#", qos=1)
        recorder = Recorder(client)

        async def record() -> None:
            async for message in client.messages:
                recorder.messages.append(message)

        task = asyncio.create_task(record())
        try:
            yield recorder
        finally:
            task.cancel()
            await asyncio.wait([task])


@dataclass
class Notebook:
    """A backlog in memory."""

    waiting: list[Recorded] = field(default_factory=list)
    count: int = 0
    before: list[Detection] = field(default_factory=list)

    def write(self, detection: Detection) -> None:
        """Record it."""
        self.count += 1
        self.waiting.append(Recorded(self.count, detection, time.monotonic()))

    async def recent(self, most: int) -> list[Detection]:
        """Detections of an earlier run."""
        return self.before

    async def pending(self, most: int) -> list[Recorded]:
        """The oldest ones."""
        return self.waiting[:most]

    async def acknowledge(self, recorded: Sequence[Recorded]) -> None:
        """Remove the oldest ones."""
        assert self.waiting[: len(recorded)] == list(recorded)
        del self.waiting[: len(recorded)]


@dataclass
class Running:
    """A running publisher, and the states that it has reported."""

    hub: Hub
    publisher: Publisher
    task: asyncio.Task[None]
    states: list[tuple[BrokerState, str]]
    notebook: Notebook

    def record(self, detection: Detection) -> None:
        """Record a detection, then publish it."""
        self.notebook.write(detection)
        self.hub.publish(detection)

    @property
    def connected(self) -> bool:
        """Whether the last reported state is connected."""
        return self.states[-1][0] is BrokerState.CONNECTED

    @property
    def problem(self) -> str:
        """The last reported failure, or empty."""
        return next((detail for state, detail in reversed(self.states) if state is BrokerState.FAILED), "")

    async def end(self) -> None:
        """End the messages, and wait until the publisher has disconnected."""
        self.hub.close()
        await asyncio.wait_for(self.task, 20)


@asynccontextmanager
async def publishing(
    config: MqttConfig, *companions: Companion, sources: Sequence[str] = ("hall",), labels: Sequence[str] = LABELS
) -> AsyncIterator[Running]:
    """A publisher for the node `box`, by default with the source `hall`, fed by a hub and a backlog."""
    hub = Hub()
    notebook = Notebook()
    states: list[tuple[BrokerState, str]] = [(BrokerState.DISABLED, "")]
    subscription = hub.subscribe(Detection, Snapshot, Health, capacity=50)
    publisher = Publisher(
        config,
        "box",
        sources,
        labels,
        subscription,
        notebook,
        lambda state, detail: states.append((state, detail)),
    )
    for companion in companions:
        publisher.add(companion)
    running = Running(hub, publisher, asyncio.create_task(publisher.run()), states, notebook)
    try:
        yield running
    finally:
        await running.end()
