"""Every type that crosses a module boundary.

Types that stay in the process are frozen dataclasses; types that also travel over MQTT or to a file are
`msgspec.Struct`s, the same in memory and in JSON. Times are UTC; a sample index counts from the start of its epoch
at the model's rate.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

Utc = Annotated[datetime, msgspec.Meta(tz=True)]
"""On the wire: a time without its zone is refused."""

SILENCE_DBFS = -120.0
"""The level reported for digital silence; full scale is 0 dBFS."""


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """One stretch of audio, as long as the model wants it, cut on the hop grid."""

    source: str
    epoch: int
    """Counts the uninterrupted stretches of audio of a source; audio is never spliced across two."""
    start: int
    """Index of the first sample within the epoch."""
    rate: int
    """Hertz."""
    samples: Samples
    """float32[n] in [-1, 1], read-only."""
    at: datetime
    """When the first sample was heard, UTC."""

    @property
    def end(self) -> int:
        """Index one past the last sample."""
        return self.start + len(self.samples)

    def utc(self, sample: int) -> datetime:
        """When this sample of the window's epoch was heard."""
        return self.at + timedelta(seconds=(sample - self.start) / self.rate)


@dataclass(frozen=True, slots=True)
class EpochEnd:
    """After the last window of an epoch: the source ended, or was lost."""

    source: str
    epoch: int
    end: int
    """Index one past the last sample that was heard."""
    rate: int
    """Hertz."""
    at: datetime
    """When the source fell silent, UTC."""

    def utc(self, sample: int) -> datetime:
        """When this sample of the epoch was heard."""
        return self.at + timedelta(seconds=(sample - self.end) / self.rate)


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What the model says about one window."""

    probabilities: Samples
    """float32[classes] in [0, 1]."""
    embedding: Samples | None
    """float32[dims]; None if the model has no embedding."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a model file says about itself."""

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
    """Most windows that may run together; more would change one another's scores. None where any number may."""


@dataclass(frozen=True, slots=True)
class Rule:
    """When a sound counts as detected. Thresholds are probabilities in [0, 1], times are seconds."""

    label: str
    """The name it is published under."""
    classes: tuple[int, ...]
    """Indices of the model's classes; the highest of them is the rule's score."""
    on: float
    """The smoothed score at or above which the sound is on."""
    off: float
    """The smoothed score below which the sound is no longer heard."""
    strong: float
    """A raw score at or above this fires at once, without smoothing, votes or minimum duration."""
    smoothing: float
    """Time constant of the exponential smoothing; 0 disables it."""
    votes: int
    """Windows at or above `on`, out of those that can hold one sound, that weak evidence needs."""
    min_duration: float
    """How long weak evidence must last."""
    hold: float
    """How long the score must stay below `off` before the sound has ended."""
    cooldown: float
    """How long after its end the same sound does not start again."""
    reach: float = 1.0
    """The highest smoothed score that the shortest sound it is meant for can attain."""

    def with_threshold(self, on: float) -> "Rule":
        """Return the rule with another `on`: `off` falls with it in proportion, `strong` is never below it."""
        off = self.off if on >= self.on else on * self.off / self.on
        return replace(self, on=on, off=off, strong=max(self.strong, on))


class Phase(StrEnum):
    """The two halves of a detection."""

    STARTED = "started"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Transition:
    """A sound began or ended, in the time of its epoch."""

    label: str
    phase: Phase
    start: int
    """Index of the sample at which the sound began."""
    end: int | None
    """Index of the sample at which it ended."""
    score: float
    peak: float


class Detection(msgspec.Struct, frozen=True, kw_only=True):
    """A sound that began or ended. Both halves carry the same id."""

    id: str
    """UUIDv7: sorts by the time it was made."""
    node: str
    source: str
    model: str
    label: str
    phase: Phase
    started_at: Utc
    """When the sound began: the time of the sound, not of its processing."""
    ended_at: Utc | None = None
    score: float
    """The score that decided, in [0, 1]: the raw one where evidence was strong, else the smoothed one."""
    peak: float
    """The highest raw score so far, in [0, 1]."""
    clip: str | None = None
    """Path of the recorded clip, where clips are kept."""


class LoggedDetection(Detection, frozen=True, kw_only=True):
    """A recorded detection as the log topic tells it: at least once, in the order of recording."""

    replayed: bool
    """It is told late: it happened before the monitor's connection to the broker stood, or waited its turn."""


class DetectionEvent(Detection, frozen=True, kw_only=True):
    """A detection as the event topic tells it, at once or never."""

    event_type: str
    """The label, where Home Assistant's event entities look for it."""


class DetectionAttributes(msgspec.Struct, frozen=True, kw_only=True):
    """What goes with a sound's state: its last detection, or the one under way."""

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
        """The detection's own."""
        return cls(
            id=detection.id,
            label=detection.label,
            started_at=detection.started_at,
            ended_at=detection.ended_at,
            score=detection.score,
            peak=detection.peak,
        )


@dataclass(frozen=True, slots=True)
class Recorded:
    """A detection in the event log."""

    sequence: int | None
    """Its place in the log; None while the log cannot be written."""
    detection: Detection
    at: float | None = None
    """When it was recorded, on the monotonic clock; None where that was long ago, or an earlier run did it."""


class LabelScore(msgspec.Struct, frozen=True):
    """One line of the live display."""

    label: str
    score: float
    """Smoothed, in [0, 1]."""
    active: bool = False
    """A rule holds this label on."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What a source hears right now. A newer one replaces an older one."""

    at: Utc
    source: str
    model: str
    level: float
    """RMS of the newest hop, dBFS, floor -120."""
    labels: tuple[LabelScore, ...]
    """The highest scores, highest first."""


class SourceState(StrEnum):
    """Whether a source can hear."""

    OPENING = "opening"
    LISTENING = "listening"
    PAUSED = "paused"
    """It was told not to listen: a microphone is closed, what a file or pipe delivers is passed over."""
    DEAF = "deaf"
    """Samples arrive, but they carry no sound: all zero or stuck."""
    LOST = "lost"
    """The device or stream is gone; it is being reopened."""
    ENDED = "ended"
    """A file or pipe that came to its end."""


class SourceHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How one source does. Counters run from the start of the program."""

    source: str
    device: str
    state: SourceState
    captured: float
    """Seconds of audio taken in."""
    overflows: int
    """Times that audio was lost between the device and us."""
    windows_done: int
    windows_dropped: int
    lag: float
    """Seconds between a window's last sample and its scores, newest window."""
    reopened: int
    """Times the device or stream was opened again after a loss."""
    reason: str = ""
    """Why it is lost or deaf, for a person to read."""


class ProblemAttributes(msgspec.Struct, frozen=True, kw_only=True):
    """What goes with the state of a source that cannot hear, or that can again."""

    state: SourceState
    device: str
    reason: str
    """Why it is lost or deaf, for a person to read."""


class BrokerState(StrEnum):
    """Where the connection to the MQTT broker stands."""

    DISABLED = "disabled"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    FAILED = "failed"


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How the whole monitor does, every few seconds."""

    at: Utc
    node: str
    version: str
    uptime: float
    """Seconds."""
    model: str
    provider: str
    """The execution provider that ONNX Runtime really loaded."""
    load: float
    """Share of real time spent in inference; 1.0 is the most that one worker can do."""
    inference_p50: float
    """Seconds a window."""
    inference_p95: float
    """Seconds a window."""
    broker: BrokerState
    broker_detail: str = ""
    """The address, or why it failed."""
    messages_dropped: int = 0
    """Messages that a slow consumer (MQTT, TUI, stdout) did not take in time."""
    sources: tuple[SourceHealth, ...] = ()


Message = Detection | Snapshot | Health


class Feed(Protocol):
    """Where a display gets its messages from: this process, or a broker."""

    @property
    def title(self) -> str:
        """What the feed is attached to, for the display's header."""

    def messages(self) -> AsyncIterator[Message]:
        """All messages from now on, until the monitor ends. May raise `MonitorError`."""
