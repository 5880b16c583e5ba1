"""What is measured of a model."""

from collections.abc import Mapping

import msgspec


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model as soon as it can answer."""

    name: str
    path: str
    provider: str
    """ONNX Runtime's word for what really runs it."""
    size: int
    """Bytes of the file."""
    window: float
    """Seconds."""
    load: float
    """Seconds from nothing to the first answer, the checks of the file included."""


class Memory(msgspec.Struct, frozen=True):
    """Beyond the process without a model, in bytes; None where the system does not tell."""

    now: int | None
    peak: int | None


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """All about one model."""

    model: Loaded
    memory: Memory
    """After single windows."""
    p50: float
    """Seconds a window on its own, in the median."""
    p95: float
    spread: float
    """How far the middle half of those times is apart, as a share of the median."""
    runs: int
    """How many there were."""
    windows_per_second: Mapping[int, float]
    """By batch size, in the median; sizes that the time did not suffice for are left out."""
    streams_per_core: float
    """Streams in real time that a thread can keep up with at the hop, by the best batch that is configured."""
    front_end: float | None
    """The share of the log-mel front end in an answer, in [0, 1]; None where it cannot be told apart."""
