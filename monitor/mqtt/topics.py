"""The topic tree: where each message goes, and what a topic means.

    PREFIX/NODE/availability            online | offline, retained; the broker says offline when the monitor dies
    PREFIX/NODE/health                  Health as JSON, retained
    PREFIX/NODE/log                     LoggedDetection as JSON: each that was recorded, at least once, in order
    PREFIX/NODE/SOURCE/availability     online while the source listens, else offline; retained
    PREFIX/NODE/SOURCE/event            one Detection as JSON for each beginning and each end, if told at once
    PREFIX/NODE/SOURCE/live             Snapshot as JSON, at most one each `mqtt.live_interval`
    PREFIX/NODE/SOURCE/level            dBFS, when it has changed, if `mqtt.level` is set; retained
    PREFIX/NODE/SOURCE/SOUND/state      ON while the sound is heard, else OFF; retained
    PREFIX/NODE/SOURCE/SOUND/attributes DetectionAttributes as JSON: the last detection, or the one under way; retained

Health is retained so that a display, or a restarted home automation, sees it at once; `availability` tells whether
it still holds.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

ANY = "+"
"""Stands for every node or source in a subscription."""

ONLINE, OFFLINE = b"online", b"offline"
ON, OFF = b"ON", b"OFF"

RESERVED = frozenset({"set", "setting"})
"""What no source may be called: the commands and their answers stand there."""

ANY_SOUND, PROBLEM = "any", "problem"
"""Stand in a topic where a sound does: whether any sound is heard, and whether the source cannot hear."""


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one monitor; with `ANY` as a name, the wildcards that subscribe to them."""

    prefix: str
    node: str

    @property
    def availability(self) -> str:
        """Whether the monitor runs."""
        return f"{self.prefix}/{self.node}/availability"

    @property
    def health(self) -> str:
        """How the monitor does."""
        return f"{self.prefix}/{self.node}/health"

    @property
    def log(self) -> str:
        """What was heard, without a gap."""
        return f"{self.prefix}/{self.node}/log"

    def source_availability(self, source: str) -> str:
        """Whether the source listens."""
        return f"{self.prefix}/{self.node}/{source}/availability"

    def event(self, source: str) -> str:
        """What the source heard."""
        return f"{self.prefix}/{self.node}/{source}/event"

    def live(self, source: str) -> str:
        """What the source hears now."""
        return f"{self.prefix}/{self.node}/{source}/live"

    def level(self, source: str) -> str:
        """How loud it is."""
        return f"{self.prefix}/{self.node}/{source}/level"

    def state(self, source: str, sound: str) -> str:
        """Whether the source hears this sound now; `sound` is a label's slug."""
        return f"{self.prefix}/{self.node}/{source}/{sound}/state"

    def attributes(self, source: str, sound: str) -> str:
        """More about the sound's last detection; `sound` is a label's slug."""
        return f"{self.prefix}/{self.node}/{source}/{sound}/attributes"


@dataclass(frozen=True, slots=True)
class Address:
    """What a topic says about its message."""

    node: str
    leaf: str
    """The last level: availability, health, log, event, live, level, state or attributes."""
    source: str | None = None
    sound: str | None = None


def parse(prefix: str, topic: str) -> Address | None:
    """The meaning of a topic below `prefix`; None where it is not one of ours."""
    if not topic.startswith(f"{prefix}/"):
        return None
    match topic[len(prefix) + 1 :].split("/"):
        case [node, "availability" | "health" | "log" as leaf]:
            return Address(node, leaf)
        case [node, source, "availability" | "event" | "live" | "level" as leaf]:
            return Address(node, leaf, source)
        case [node, source, sound, "state" | "attributes" as leaf]:
            return Address(node, leaf, source, sound)
    return None


def slug(label: str) -> str:
    """The label in characters that every topic and identifier can carry: [a-z0-9_], never empty."""
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_") or f"sound_{_digest(label)}"


def slugs(labels: Iterable[str]) -> dict[str, str]:
    """A slug for each label, no two alike, whatever the order.

    Labels whose slugs would be the same, or are taken, all get a digest of the label appended.
    """
    names = {label: slug(label) for label in labels}
    while len(counts := Counter([*names.values(), ANY_SOUND, PROBLEM])) < len(names) + 2:
        names = {
            label: name if counts[name] == 1 else f"{name}_{_digest(name + label)}" for label, name in names.items()
        }
    return names


def _digest(text: str) -> str:
    return hashlib.sha256(ascii(text).encode()).hexdigest()[:8]
