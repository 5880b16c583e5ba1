"""What to publish, and when. Pure: messages and times in, MQTT messages out, no connection.

Retained topics and the live display show the present, so only the newest payload of a topic waits. Events fire
automations, so an event that could not be published at once is dropped; the log topic still has it.
"""

import math
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from monitor.messages import (
    Detection,
    DetectionAttributes,
    DetectionEvent,
    Health,
    LoggedDetection,
    Message,
    Phase,
    ProblemAttributes,
    Recorded,
    Snapshot,
    SourceHealth,
    SourceState,
)
from monitor.mqtt.topics import ANY_SOUND, OFF, OFFLINE, ON, ONLINE, PROBLEM, Topics, slugs

FRESH = 5.0
"""Seconds after which a detection is late: no event is published."""

LEVEL_INTERVAL = 5.0
"""Least seconds between two levels of a source, which are published only when they change."""

BATCH = 50
"""Most messages of one kind that await the broker's acknowledgement."""


@dataclass(frozen=True, slots=True, eq=False)
class Outgoing:
    """One message for the broker."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False


class Outbox:
    """Takes in the monitor's messages and hands out the next ones to send. Times are seconds of the monotonic clock."""

    def __init__(
        self,
        topics: Topics,
        sources: Sequence[str],
        labels: Sequence[str],
        live_interval: float,
        level: bool = False,
    ) -> None:
        """`level`: whether to publish the levels of the sources."""
        self._topics = topics
        self._slugs = slugs(labels)
        self._live_interval = live_interval
        states = (*self._slugs.values(), ANY_SOUND, PROBLEM)
        self._retained = {topics.state(source, name): OFF for source in sources for name in states}
        self._retained |= {topics.source_availability(source): OFFLINE for source in sources}
        self._changed: dict[str, None] = {}
        self._events: deque[tuple[float, Detection]] = deque()
        self.dropped = 0
        """Number of events that could not be published in time."""
        self._since = math.inf
        """When the connection was established."""
        self._live: dict[str, Snapshot] = {}
        self._live_at: dict[str, float] = {}
        self._on: defaultdict[str, set[str]] = defaultdict(set)
        self._level = level
        self._level_at: dict[str, float] = {}

    def put(self, message: Message, now: float) -> None:
        """Take a message in."""
        match message:
            case Detection():
                self._put_detection(message, now)
            case Snapshot():
                self._live[message.source] = message
                if self._level:
                    self._put_level(message, now)
            case Health():
                self._retain(self._topics.health, msgspec.json.encode(message))
                for source in message.sources:
                    self._put_source(source)

    def recall(self, detections: Sequence[Detection]) -> None:
        """Take the attributes of each sound from the detections of earlier runs, oldest first."""
        for detection in detections:
            name = self._slugs.get(detection.label)
            if name is not None and self._topics.state(detection.source, name) in self._retained:
                attributes = msgspec.json.encode(DetectionAttributes.of(detection))
                for sound in (name, ANY_SOUND):
                    self._retained[self._topics.attributes(detection.source, sound)] = attributes

    def present(self, now: float) -> list[Outgoing]:
        """Everything to retain at a newly connected broker. Drops the events and live messages from before."""
        self._since = now
        self._changed.clear()
        self._live.clear()
        self.dropped += len(self._events)
        self._events.clear()
        return [Outgoing(topic, payload, retain=True) for topic, payload in self._retained.items()]

    def again(self) -> None:
        """Send everything retained once more."""
        self._changed.update(dict.fromkeys(self._retained))

    def batch(self, now: float) -> list[Outgoing]:
        """The next messages to send: the present state first, then events."""
        self._forget(now)
        batch = [Outgoing(topic, self._retained[topic], retain=True) for topic in self._changed]
        self._changed.clear()
        for source in [source for source in self._live if self._wait(source, now) <= 0]:
            self._live_at[source] = now
            payload = msgspec.json.encode(self._live.pop(source))
            batch.append(Outgoing(self._topics.live(source), payload, qos=0))
        for _ in range(min(BATCH, len(self._events))):
            _, detection = self._events.popleft()
            event = DetectionEvent(**msgspec.structs.asdict(detection), event_type=detection.label)
            batch.append(Outgoing(self._topics.event(detection.source), msgspec.json.encode(event)))
        return batch

    def replayed(self, recorded: Recorded, now: float) -> bool:
        """Whether it is published late: it was recorded before this connection, or more than `FRESH` seconds ago."""
        return recorded.at is None or recorded.at < self._since or now - recorded.at > FRESH

    def log(self, recorded: Recorded, now: float) -> Outgoing:
        """One recorded detection, for the log topic."""
        detection = msgspec.structs.replace(recorded.detection, recorded=recorded.sequence is not None)
        logged = LoggedDetection(**msgspec.structs.asdict(detection), replayed=self.replayed(recorded, now))
        return Outgoing(self._topics.log, msgspec.json.encode(logged))

    def rest(self, now: float) -> float | None:
        """Seconds until the next live message is due; None if none waits."""
        return min((self._wait(source, now) for source in self._live), default=None)

    def _put_detection(self, detection: Detection, now: float) -> None:
        name = self._slugs.get(detection.label)
        if name is not None:
            on = self._on[detection.source]
            if detection.phase is Phase.STARTED:
                on.add(name)
            else:
                on.discard(name)
            attributes = msgspec.json.encode(DetectionAttributes.of(detection))
            for sound, state in ((name, name in on), (ANY_SOUND, bool(on))):
                self._retain(self._topics.attributes(detection.source, sound), attributes)
                self._retain(self._topics.state(detection.source, sound), ON if state else OFF)
        self._events.append((now, detection))
        self._forget(now)

    def _put_source(self, health: SourceHealth) -> None:
        source, state = health.source, health.state
        listens = state is SourceState.LISTENING
        self._retain(self._topics.source_availability(source), ONLINE if listens else OFFLINE)
        attributes = ProblemAttributes(state=state, device=health.device, reason=health.reason)
        self._retain(self._topics.attributes(source, PROBLEM), msgspec.json.encode(attributes))
        problem = state in (SourceState.STALLED, SourceState.DEAF, SourceState.LOST)
        self._retain(self._topics.state(source, PROBLEM), ON if problem else OFF)

    def _put_level(self, snapshot: Snapshot, now: float) -> None:
        topic, level = self._topics.level(snapshot.source), f"{snapshot.level:.0f}".encode()
        last = self._level_at.get(snapshot.source)
        if self._retained.get(topic) != level and (last is None or now - last >= LEVEL_INTERVAL):
            self._level_at[snapshot.source] = now
            self._retain(topic, level)

    def _forget(self, now: float) -> None:
        """Drop late events."""
        while self._events and now - self._events[0][0] > FRESH:
            self._events.popleft()
            self.dropped += 1

    def _retain(self, topic: str, payload: bytes) -> None:
        if self._retained.get(topic) != payload:
            self._retained[topic] = payload
            self._changed[topic] = None

    def _wait(self, source: str, now: float) -> float:
        last = self._live_at.get(source)
        return 0.0 if last is None else last + self._live_interval - now
