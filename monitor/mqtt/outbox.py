"""What the broker still has to be told. Pure: it knows messages, topics and the time it is given, no connection.

Retained topics and the live display tell the present, so that only the newest payload of a topic waits; events are
kept, in order, until the broker has acknowledged them.
"""

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from monitor.messages import Detection, Health, Message, Phase, Snapshot, SourceState
from monitor.mqtt.topics import OFF, OFFLINE, ON, ONLINE, Topics, slugs

CAPACITY = 10_000
"""Events kept while the broker is away; beyond that the oldest go, and are counted."""

BATCH = 20
"""Most messages that are under way at a time."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Outgoing:
    """One message for the broker."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False


class Outbox:
    """Takes the monitor's messages, hands out what to send next."""

    def __init__(self, topics: Topics, sources: Sequence[str], labels: Sequence[str], live_interval: float) -> None:
        self.dropped = 0
        """Events lost because the broker stayed away for too long."""
        self._topics = topics
        self._slugs = slugs(labels)
        self._live_interval = live_interval
        self._retained = {topics.state(source, name): OFF for source in sources for name in self._slugs.values()}
        self._retained |= {topics.source_availability(source): OFFLINE for source in sources}
        self._changed: dict[str, None] = {}
        self._events: deque[Outgoing] = deque(maxlen=CAPACITY)
        self._live: dict[str, Snapshot] = {}
        self._live_at: dict[str, float] = {}

    def put(self, message: Message) -> None:
        """Take a message in."""
        match message:
            case Detection():
                self._put_detection(message)
            case Snapshot():
                self._live[message.source] = message
            case Health():
                self._retain(self._topics.health, msgspec.json.encode(message))
                for source in message.sources:
                    listens = source.state is SourceState.LISTENING
                    self._retain(self._topics.source_availability(source.source), ONLINE if listens else OFFLINE)

    def present(self) -> list[Outgoing]:
        """Everything that a broker we just connected to should hold. Live messages from before are forgotten."""
        self._changed.clear()
        self._live.clear()
        return [Outgoing(topic, payload, retain=True) for topic, payload in self._retained.items()]

    def batch(self, now: float) -> list[Outgoing]:
        """What to send next: the present first, then events in their order. `now` in seconds of any steady clock."""
        batch = [Outgoing(topic, self._retained[topic], retain=True) for topic in self._changed]
        self._changed.clear()
        for source in [source for source in self._live if self._wait(source, now) <= 0]:
            self._live_at[source] = now
            payload = msgspec.json.encode(self._live.pop(source))
            batch.append(Outgoing(self._topics.live(source), payload, qos=0))
        return batch + [self._events[index] for index in range(min(BATCH, len(self._events)))]

    def sent(self, batch: Sequence[Outgoing]) -> None:
        """The broker has acknowledged the batch."""
        for outgoing in batch:
            if self._events and self._events[0] is outgoing:
                self._events.popleft()

    def rest(self, now: float) -> float | None:
        """Seconds until a live message that waits for its turn is due; None where none waits."""
        return min((self._wait(source, now) for source in self._live), default=None)

    def _put_detection(self, detection: Detection) -> None:
        name = self._slugs.get(detection.label)
        if name is not None:
            state = ON if detection.phase is Phase.STARTED else OFF
            self._retain(self._topics.state(detection.source, name), state)
        if len(self._events) == CAPACITY:
            if not self.dropped:
                _log.warning("the broker is away for so long that the oldest of %d waiting events is lost", CAPACITY)
            self.dropped += 1
        self._events.append(Outgoing(self._topics.event(detection.source), msgspec.json.encode(detection)))

    def _retain(self, topic: str, payload: bytes) -> None:
        if self._retained.get(topic) != payload:
            self._retained[topic] = payload
            self._changed[topic] = None

    def _wait(self, source: str, now: float) -> float:
        last = self._live_at.get(source)
        return 0.0 if last is None else last + self._live_interval - now
