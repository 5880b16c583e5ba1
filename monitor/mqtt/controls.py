"""What can be set over MQTT: for each control its topics, what it takes, and what a home automation needs to show it.

    PREFIX/NODE/set/pause                ON | OFF: stop and resume listening
    PREFIX/NODE/set/profile              the name of a profile
    PREFIX/NODE/set/SOUND/enabled        ON | OFF: whether the sound is detected
    PREFIX/NODE/set/SOUND/threshold      0 to 1: the score from which the sound is on

What is in force stands retained under the same path below `PREFIX/NODE/setting`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from monitor.mqtt.topics import slugs

STEP = 0.01
"""Fineness of a threshold."""


class Kind(StrEnum):
    """What a control takes."""

    SWITCH = "switch"
    """ON or OFF."""
    SELECT = "select"
    """One of its options."""
    NUMBER = "number"
    """A number from 0 to 1."""


class Role(StrEnum):
    """What a control sets."""

    PAUSE = "pause"
    """Stop listening, or go on."""
    PROFILE = "profile"
    """Put a profile of the configuration in force."""
    ENABLED = "enabled"
    """Whether the sound is detected, in the profile in force."""
    THRESHOLD = "threshold"
    """The score from which the sound is on, in the profile in force."""


@dataclass(frozen=True, slots=True)
class Control:
    """One thing that can be set while the monitor runs."""

    role: Role
    kind: Kind
    name: str
    """For people."""
    key: str
    """Its path below `set` and `setting`; unique, and the same as long as the sound keeps its label."""
    command_topic: str
    state_topic: str
    label: str | None = None
    """The sound that it is about."""
    options: tuple[str, ...] = ()
    """What a select can be."""


def controls(prefix: str, node: str, labels: Sequence[str], profiles: Sequence[str]) -> tuple[Control, ...]:
    """All controls of a monitor that detects these sounds; with one profile there is nothing to select."""
    base = f"{prefix}/{node}"

    def control(
        role: Role, kind: Kind, name: str, key: str, label: str | None = None, options: tuple[str, ...] = ()
    ) -> Control:
        return Control(role, kind, name, key, f"{base}/set/{key}", f"{base}/setting/{key}", label, options)

    found = [control(Role.PAUSE, Kind.SWITCH, "Pause listening", "pause")]
    if len(profiles) > 1:
        found.append(control(Role.PROFILE, Kind.SELECT, "Profile", "profile", options=tuple(profiles)))
    for label, name in slugs(labels).items():
        found.append(control(Role.ENABLED, Kind.SWITCH, f"Detect {label}", f"{name}/enabled", label))
        found.append(control(Role.THRESHOLD, Kind.NUMBER, f"{label} threshold", f"{name}/threshold", label))
    return tuple(found)
