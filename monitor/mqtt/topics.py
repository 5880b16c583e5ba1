"""The topic tree: every topic that the monitor publishes or subscribes to, and what a topic means.

    PREFIX/NODE/availability            online | offline, retained; the broker publishes offline when the monitor dies
    PREFIX/NODE/health                  Health as JSON, retained
    PREFIX/NODE/log                     LoggedDetection as JSON: each recorded detection, at least once, in order
    PREFIX/NODE/set/pause               ON | OFF: stop and resume listening
    PREFIX/NODE/set/profile             the name of a profile
    PREFIX/NODE/set/SOUND/enabled       ON | OFF: whether the sound is detected
    PREFIX/NODE/set/SOUND/threshold     0 to 1: the score from which the sound is on
    PREFIX/NODE/setting/...             the value in force, retained, on the same path as the command
    PREFIX/NODE/SOURCE/availability     online while the source listens, else offline; retained
    PREFIX/NODE/SOURCE/event            Detection as JSON for each start and each end, unless it is late
    PREFIX/NODE/SOURCE/live             Snapshot as JSON, at most one each `mqtt.live_interval`
    PREFIX/NODE/SOURCE/level            dBFS, on each change, if `mqtt.level` is set; retained
    PREFIX/NODE/SOURCE/SOUND/state      ON while the sound is heard, else OFF; retained
    PREFIX/NODE/SOURCE/SOUND/attributes DetectionAttributes as JSON: the last or current detection; retained

Health is retained so that a display, or a restarted home automation, sees it at once; `availability` says whether it is
current.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

ANY, ALL = "+", "#"
"""In a subscription: any one level, such as every source; and every topic below."""

ONLINE, OFFLINE = b"online", b"offline"
ON, OFF = b"ON", b"OFF"

COMMAND, SETTING = "set", "setting"
RESERVED = frozenset({COMMAND, SETTING})
"""Names that no source may have, because commands and settings use their place in a topic."""

ANY_SOUND, PROBLEM = "any", "problem"
"""Take the place of a sound in a topic: whether any sound is heard, and whether the source has a problem."""

HOME_ASSISTANT_STATUS = "homeassistant/status"
"""Home Assistant publishes `online` here once it has started, unless its discovery prefix is another."""


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one monitor; with `ANY` or `ALL` as a name, the wildcards that subscribe to them."""

    prefix: str
    node: str

    @property
    def availability(self) -> str:
        """Whether the monitor runs."""
        return f"{self.prefix}/{self.node}/availability"

    @property
    def health(self) -> str:
        """The state of the monitor."""
        return f"{self.prefix}/{self.node}/health"

    @property
    def log(self) -> str:
        """Every detection, without a gap."""
        return f"{self.prefix}/{self.node}/log"

    @property
    def everything(self) -> str:
        """All topics of the monitor."""
        return f"{self.prefix}/{self.node}/{ALL}"

    def command(self, key: str) -> str:
        """Changes a setting."""
        return f"{self.prefix}/{self.node}/{COMMAND}/{key}"

    def setting(self, key: str) -> str:
        """The value of a setting."""
        return f"{self.prefix}/{self.node}/{SETTING}/{key}"

    def source_availability(self, source: str) -> str:
        """Whether the source listens."""
        return f"{self.prefix}/{self.node}/{source}/availability"

    def event(self, source: str) -> str:
        """The source's detections, as they happen."""
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
        """Details of the sound's last detection; `sound` is a label's slug."""
        return f"{self.prefix}/{self.node}/{source}/{sound}/attributes"

    @property
    def identifier(self) -> str:
        """The monitor's identifier in Home Assistant, unique per prefix and node, in [a-zA-Z0-9_-]."""
        return f"{slug(self.prefix)}-{self.node}"

    def announcement(self, discovery_prefix: str) -> str:
        """Where Home Assistant reads the device's description."""
        return f"{discovery_prefix}/device/{self.identifier}/config"


@dataclass(frozen=True, slots=True)
class Address:
    """What a topic says about its message."""

    node: str
    leaf: str
    """The last level: availability, health, log, event, live, level, state or attributes."""
    source: str | None = None
    sound: str | None = None


def parse_topic(prefix: str, topic: str) -> Address | None:
    """The meaning of a topic below `prefix`; None for commands, settings and topics of others."""
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


def birth_topics(discovery_prefix: str) -> frozenset[str]:
    """The topics on which Home Assistant says that it has started."""
    return frozenset({HOME_ASSISTANT_STATUS, f"{discovery_prefix}/status"})


def slug(label: str) -> str:
    """The label in characters that every topic and identifier can carry: [a-z0-9_], never empty."""
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_") or f"sound_{_digest(label)}"


def slugs(labels: Iterable[str]) -> dict[str, str]:
    """A unique slug for each label, independent of their order.

    Labels whose slugs collide, or are taken, all get a digest of the label appended.
    """
    names = {label: slug(label) for label in labels}
    while len(counts := Counter([*names.values(), ANY_SOUND, PROBLEM])) < len(names) + 2:
        names = {
            label: name if counts[name] == 1 else f"{name}_{_digest(name + label)}" for label, name in names.items()
        }
    return names


def _digest(text: str) -> str:
    return hashlib.sha256(ascii(text).encode()).hexdigest()[:8]
