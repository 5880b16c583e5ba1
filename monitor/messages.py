"""All types that cross a module boundary, in two sections: the public payloads, and records inside the process.

Public payloads are `msgspec.Struct`s. MQTT, `events --format jsonl` and the event log carry them as JSON, and
docs/mqtt.md lists their fields, so a changed field changes the interface. Records inside the process are frozen
dataclasses, free to change. Times are UTC. A sample index counts from the start of its epoch, at the model's rate.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

Utc = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with its zone; decoding refuses one without."""

SILENCE_DBFS = -120.0
"""The level reported for digital silence; full scale is 0 dBFS."""


# ---- Public payloads: what MQTT and files carry ----


class Phase(StrEnum):
    """The two halves of a detection."""

    STARTED = "started"
    ENDED = "ended"


class Detection(msgspec.Struct, frozen=True, kw_only=True):
    """The start or the end of a sound. Both have the same id."""

    id: str
    """UUIDv7, which sorts by creation time."""
    node: str
    source: str
    model: str
    label: str
    phase: Phase
    started_at: Utc
    """When the sound started, not when it was analysed."""
    ended_at: Utc | None = None
    score: float
    """The score that decided, in [0, 1]: the raw score if the evidence was strong, else the smoothed score."""
    peak: float
    """The highest raw score so far, in [0, 1]."""
    recorded: bool = True
    """False if it is published before the event log has it, because the disk is slow, full or failing; and for a
    demonstration, which the event log never gets."""


class LoggedDetection(Detection, frozen=True, kw_only=True):
    """A recorded detection on the log topic: at least once, in the order of recording."""

    replayed: bool
    """Published late: it was recorded before the monitor connected to the broker, or waited in the queue."""


class DetectionEvent(Detection, frozen=True, kw_only=True):
    """A detection on the event topic: at once or never."""

    event_type: str
    """The label, in the field that Home Assistant's event entities read."""


class DetectionAttributes(msgspec.Struct, frozen=True, kw_only=True):
    """The detection behind a sound's state: the current one, or else the last."""

    id: str
    label: str
    started_at: Utc
    ended_at: Utc | None
    score: float
    """In [0, 1], as in `Detection`."""
    peak: float
    """In [0, 1], as in `Detection`."""

    @classmethod
    def of(cls, detection: Detection) -> "DetectionAttributes":
        """Return the attributes of this detection."""
        return cls(
            id=detection.id,
            label=detection.label,
            started_at=detection.started_at,
            ended_at=detection.ended_at,
            score=detection.score,
            peak=detection.peak,
        )


class LabelScore(msgspec.Struct, frozen=True):
    """One line of the live display."""

    label: str
    score: float
    """Smoothed, in [0, 1]."""
    active: bool = False
    """A rule is on, and of its classes this one has the highest score."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The current scores and level of a source. A newer snapshot replaces an older one."""

    at: Utc
    source: str
    model: str
    level: float
    """RMS of the newest hop, dBFS, at least -120."""
    labels: tuple[LabelScore, ...]
    """The highest scores, highest first."""


class SourceState(StrEnum):
    """Whether a source receives sound."""

    OPENING = "opening"
    """No sample has arrived yet."""
    LISTENING = "listening"
    """Samples arrive and are analysed."""
    PAUSED = "paused"
    """Paused by a command: a microphone is closed; samples from a file or pipe are dropped."""
    STALLED = "stalled"
    """Samples arrive, but are not analysed: the model or the machine hangs."""
    DEAF = "deaf"
    """Samples arrive, but without sound: silence, one value, steps of noise, hum or nothing but clipping."""
    LOST = "lost"
    """The device or stream is gone, or delivers nothing; the monitor reopens it."""
    ENDED = "ended"
    """The file or pipe has ended."""


class SourceHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Status of one source. Counters start with the program."""

    source: str
    device: str
    state: SourceState
    captured: float
    """Seconds of audio received."""
    overflows: int
    """How often audio was lost between the device and the monitor."""
    windows_done: int
    windows_dropped: int
    lag: float
    """Seconds from the last sample of the newest window to its scores."""
    reopened: int
    """How often the device or stream was reopened after a loss."""
    lost: float = 0.0
    """Seconds of audio that are missing between what was received, without pauses by command."""
    gain: float = 0.0
    """Amplification now, decibels."""
    reason: str = ""
    """Why the source is lost, deaf or stalled, as text."""
    demonstration: bool = False
    """The program synthesises its sounds; none of them is real."""


class ProblemAttributes(msgspec.Struct, frozen=True, kw_only=True):
    """Details of a source's problem state."""

    state: SourceState
    device: str
    reason: str
    """Why the source is lost, deaf or stalled, as text."""


class BrokerState(StrEnum):
    """State of the connection to the MQTT broker."""

    DISABLED = "disabled"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    FAILED = "failed"


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Status of the whole monitor, every few seconds."""

    at: Utc
    node: str
    version: str
    uptime: float
    """Seconds."""
    model: str
    provider: str
    """The execution provider that ONNX Runtime loaded."""
    load: float
    """Share of real time spent in inference; at 1.0 the worker is fully busy."""
    inference_p50: float
    """Seconds per window."""
    inference_p95: float
    """Seconds per window."""
    broker: BrokerState
    broker_detail: str = ""
    """The address, or why the connection failed."""
    messages_dropped: int = 0
    """Messages that a slow consumer (MQTT, TUI, stdout) did not take in time."""
    log_problem: str = ""
    """Why the event log does not take detections; empty while it does."""
    log_waiting: int = 0
    """Detections that wait in memory for the event log."""
    log_lost: int = 0
    """Detections that the event log never got: too many waited."""
    profile: str = ""
    """The active profile."""
    sounds_off: tuple[str, ...] = ()
    """Labels of the sounds that are not detected in the active profile: switched off by the profile or a command."""
    sounds_changed: tuple[str, ...] = ()
    """Labels of the sounds whose threshold was changed by a command in the active profile."""
    sources: tuple[SourceHealth, ...] = ()


Message = Detection | Snapshot | Health


# ---- Records inside the process ----


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A stretch of audio of the length that the model takes, cut on the hop grid."""

    source: str
    epoch: int
    """Number of the source's uninterrupted stretch of audio; a window never spans two."""
    start: int
    """Index of the first sample within the epoch."""
    rate: int
    """Hertz."""
    samples: Samples
    """float32[n] in [-1, 1], read-only."""
    at: datetime
    """UTC time of the first sample."""

    @property
    def end(self) -> int:
        """Index one past the last sample."""
        return self.start + len(self.samples)

    def utc(self, sample: int) -> datetime:
        """Return the time of a sample of the window's epoch."""
        return self.at + timedelta(seconds=(sample - self.start) / self.rate)


@dataclass(frozen=True, slots=True)
class EpochEnd:
    """Follows the last window of an epoch: the source ended, or was lost."""

    source: str
    epoch: int
    end: int
    """Index one past the last sample received."""
    rate: int
    """Hertz."""
    at: datetime
    """UTC time of that end."""

    def utc(self, sample: int) -> datetime:
        """Return the time of a sample of the epoch."""
        return self.at + timedelta(seconds=(sample - self.end) / self.rate)


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """The model's output for one window."""

    probabilities: Samples
    """float32[classes] in [0, 1]."""
    embedding: Samples | None
    """float32[dims]; None if the model has no embedding."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """The description of a model: from its metadata, or from the card beside it."""

    name: str
    family: str
    sample_rate: int
    """Hertz."""
    window: int
    """Samples."""
    labels: tuple[str, ...]
    licence: str
    source: str
    description: str
    sha256: str
    size: int
    """Bytes."""
    path: str
    max_batch: int | None = None
    """Most windows in one run; with more, their scores affect one another. None for any number."""


@dataclass(frozen=True, slots=True)
class Cadence:
    """A group of equal beeps of one pitch, once or again and again. Seconds and hertz."""

    label: str
    """The class that rules name."""
    beeps: int
    on: float
    """Length of a beep."""
    off: float
    """Length of the gap between two beeps."""
    pause: float | None
    """From the end of a group to the start of the next, which confirms it; None if one group is enough."""
    bands: tuple[tuple[float, float], ...] = ((490.0, 550.0), (2600.0, 3800.0))
    """Ranges of the beeps' pitch; by default those of smoke and carbon monoxide alarms."""

    @property
    def length(self) -> float:
        """Seconds of one group."""
        return self.beeps * (self.on + self.off) - self.off

    @property
    def period(self) -> float:
        """Seconds from the start of a group to the start of the next."""
        return self.length + (self.pause or 0.0)


@dataclass(frozen=True, slots=True)
class Rule:
    """When a sound counts as detected. Thresholds are probabilities in [0, 1], times are seconds."""

    label: str
    """The name under which detections are published."""
    classes: tuple[int, ...]
    """Indices of the model's classes; the highest of them is the rule's score."""
    on: float
    """The sound is on from this smoothed score."""
    off: float
    """The sound is off below this smoothed score."""
    strong: float
    """A raw score at or above this fires at once, without smoothing, votes or minimum duration."""
    smoothing: float
    """Time constant of the exponential smoothing; 0 disables it."""
    votes: int
    """Windows at or above `on` that weak evidence requires, within the span that one sound can fill."""
    min_duration: float
    """How long weak evidence must last."""
    hold: float
    """How long the score must stay below `off` before the sound has ended."""
    cooldown: float
    """How long after its end the same sound cannot start again."""
    reach: float = 1.0
    """The highest smoothed score that the shortest intended sound can reach."""
    cadences: tuple[Cadence, ...] = ()
    """Rhythms of beeps that count as classes, beside the model's."""

    def class_names(self, labels: Sequence[str]) -> list[str]:
        """Return the names of its classes, for a model with these `labels`."""
        return [*(labels[index] for index in self.classes), *(cadence.label for cadence in self.cadences)]

    def with_threshold(self, on: float) -> "Rule":
        """Return the rule with another `on`: `off` falls with it in proportion, `strong` is never below it."""
        off = self.off if on >= self.on else on * self.off / self.on
        return replace(self, on=on, off=off, strong=max(self.strong, on))


@dataclass(frozen=True, slots=True)
class Transition:
    """The start or the end of a sound, in samples of its epoch."""

    label: str
    phase: Phase
    start: int
    """Index of the sample at which the sound started."""
    end: int | None
    """Index of the sample at which it ended; None at the start."""
    score: float
    peak: float


@dataclass(frozen=True, slots=True)
class Recorded:
    """A detection in the event log."""

    sequence: int | None
    """Its number in the log; None while the log cannot be written."""
    detection: Detection
    at: float | None = None
    """When it was recorded, on the monotonic clock; None if that was long ago or in an earlier run."""


class LinkState(StrEnum):
    """Whether a feed reaches its monitor."""

    ATTACHED = "attached"
    """Messages arrive. The first health message after this follows all detections of sounds that are on."""
    WAITING = "waiting"
    """The broker is connected, but no monitor has answered."""
    OFFLINE = "offline"
    """The monitor has ended, or has lost its connection to the broker."""
    DISCONNECTED = "disconnected"
    """There is no connection to the broker."""


@dataclass(frozen=True, slots=True)
class Link:
    """Sent by a feed through a broker when it finds its monitor, and when it loses it."""

    state: LinkState
    since: datetime | None
    """UTC time of the change; None if it happened before the feed looked."""
    reason: str = ""
    """Why there is no connection, as text."""


class Feed(Protocol):
    """Where a display gets its messages: from this process, or from a broker."""

    @property
    def title(self) -> str:
        """What the feed is attached to, for the display's header."""

    def messages(self) -> AsyncIterator[Message | Link]:
        """All messages from now on, until the monitor ends. May raise `MonitorError`."""
