"""Messages and feeds for the display's tests."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta

from monitor.messages import (
    BrokerState,
    Detection,
    Health,
    LabelScore,
    Link,
    Message,
    Phase,
    Snapshot,
    SourceHealth,
    SourceState,
)
from monitor.tui.state import ViewState

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def after(seconds: float) -> datetime:
    """The time this many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def started(key: str, label: str = "Dog", source: str = "kitchen", at: float = 0.0, peak: float = 0.8) -> Detection:
    """The start of a sound."""
    return Detection(
        id=key,
        node="pi",
        source=source,
        model="m",
        label=label,
        phase=Phase.STARTED,
        started_at=after(at),
        score=0.7,
        peak=peak,
    )


def ended(key: str, label: str = "Dog", source: str = "kitchen", at: float = 0.0, lasted: float = 3.0) -> Detection:
    """The end of a sound."""
    return Detection(
        id=key,
        node="pi",
        source=source,
        model="m",
        label=label,
        phase=Phase.ENDED,
        started_at=after(at),
        ended_at=after(at + lasted),
        score=0.1,
        peak=0.9,
    )


def snapshot(source: str = "kitchen", level: float = -30.0, at: float = 0.0, **scores: float) -> Snapshot:
    """The snapshot of a source; labels with a score above 0.5 are on."""
    labels = tuple(LabelScore(label=label, score=score, active=score > 0.5) for label, score in scores.items())
    return Snapshot(at=after(at), source=source, model="m", level=level, labels=labels)


def source(
    name: str = "kitchen", state: SourceState = SourceState.LISTENING, reason: str = "", dropped: int = 0
) -> SourceHealth:
    """The health of one source."""
    return SourceHealth(
        source=name,
        device=f"{name} microphone",
        state=state,
        captured=60.0,
        overflows=0,
        windows_done=240,
        windows_dropped=dropped,
        lag=0.12,
        reopened=0,
        reason=reason,
    )


def health(
    *sources: SourceHealth,
    uptime: float = 60.0,
    broker: BrokerState = BrokerState.CONNECTED,
    broker_detail: str = "broker:1883",
) -> Health:
    """The health of the monitor."""
    return Health(
        at=after(uptime),
        node="pi",
        version="0",
        uptime=uptime,
        model="lean-int8",
        provider="CPUExecutionProvider",
        load=0.12,
        inference_p50=0.018,
        inference_p95=0.024,
        broker=broker,
        broker_detail=broker_detail,
        sources=sources,
    )


def reduced(*messages: Message | Link) -> ViewState:
    """The state of the display after these messages."""
    state = ViewState()
    for message in messages:
        state.apply(message)
    return state


class ListFeed:
    """Yields its messages at once, then waits until it is closed."""

    title = "a list"

    def __init__(self, messages: Iterable[Message | Link] = (), failure: Exception | None = None) -> None:
        self._queue: asyncio.Queue[Message | Link | None] = asyncio.Queue()
        self._failure = failure
        for message in messages:
            self._queue.put_nowait(message)

    def send(self, message: Message | Link) -> None:
        """Add a message."""
        self._queue.put_nowait(message)

    def close(self) -> None:
        """End the feed, with its failure if it has one."""
        self._queue.put_nowait(None)

    async def messages(self) -> AsyncIterator[Message | Link]:
        """Yield the messages."""
        while (message := await self._queue.get()) is not None:
            yield message
        if self._failure is not None:
            raise self._failure
