"""Control over MQTT: which settings a home automation can change, and the commands that change them.

No payload that is not a command, and no flood of commands, changes anything.
"""

import asyncio
import logging
import re
import reprlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from monitor.control.settings import Settings
from monitor.mqtt.publisher import Send
from monitor.mqtt.topics import ALL, OFF, ON, Topics, slugs

MAX_PAYLOAD = 64
"""Longest payload of a command, bytes."""

BURST, RATE = 100, 5.0
"""Commands accepted at once, as when a scene is set, and per second in the long run."""

MAX_COMPLAINTS = 20
"""Most log lines about ignored commands, each written once."""

MAX_SHOWN = 120
"""Most characters of a topic in the log."""

_NUMBER = re.compile(r"[0-9]*\.?[0-9]+")
log = logging.getLogger(__name__)


class Role(StrEnum):
    """What a control sets."""

    PAUSE = "pause"
    """Pause or resume listening."""
    PROFILE = "profile"
    """Select a profile of the configuration."""
    ENABLED = "enabled"
    """Whether the sound is detected, in the active profile."""
    THRESHOLD = "threshold"
    """The score from which the sound is on, in the active profile."""


@dataclass(frozen=True, slots=True)
class Control:
    """One setting that can be changed over MQTT."""

    role: Role
    name: str
    """For people."""
    key: str
    """Its path below `set` and `setting`; unique, and stable as long as the sound keeps its label."""
    command_topic: str
    state_topic: str
    label: str | None = None
    """The sound that it sets, if any."""
    options: tuple[str, ...] = ()
    """The valid profiles."""

    def state(self, settings: Settings) -> bytes:
        """The value in force, as a payload."""
        match self.role, self.label:
            case Role.ENABLED, str(label):
                return ON if settings.enabled(label) else OFF
            case Role.THRESHOLD, str(label):
                return f"{settings.rule(label).on:g}".encode()
            case Role.PROFILE, _:
                return settings.choices.profile.encode()
        return ON if settings.choices.paused else OFF

    def command(self, settings: Settings, text: str) -> Callable[[], None]:
        """The call that carries out this command. Raises `ValueError`, as the call may."""
        match self.role, self.label:
            case Role.ENABLED, str(label):
                return partial(settings.enable, label, _switch(text))
            case Role.THRESHOLD, str(label):
                return partial(settings.set_threshold, label, _number(text))
            case Role.PROFILE, _:
                return partial(settings.choose, text)
        return partial(settings.pause, _switch(text))


def controls(topics: Topics, labels: Sequence[str], profiles: Sequence[str]) -> tuple[Control, ...]:
    """All controls of a monitor that detects these sounds; a profile can be selected if there are several."""

    def control(role: Role, name: str, key: str, label: str | None = None, options: tuple[str, ...] = ()) -> Control:
        return Control(role, name, key, topics.command(key), topics.setting(key), label, options)

    found = [control(Role.PAUSE, "Pause listening", "pause")]
    if len(profiles) > 1:
        found.append(control(Role.PROFILE, "Profile", "profile", options=tuple(profiles)))
    for label, name in slugs(labels).items():
        found.append(control(Role.ENABLED, f"Detect {label}", f"{name}/enabled", label))
        found.append(control(Role.THRESHOLD, f"{label} threshold", f"{name}/threshold", label))
    return tuple(found)


class RemoteControl:
    """The companion that receives commands, has them applied, and publishes the settings in force."""

    def __init__(
        self,
        topics: Topics,
        controls: Sequence[Control],
        settings: Settings,
        apply: Callable[[], Awaitable[None]],
    ) -> None:
        """`apply` is called after each change of `settings`, before the change is published."""
        self._filter = topics.command(ALL)
        self._controls = {control.command_topic: control for control in controls}
        self._settings, self._apply = settings, apply
        self._complaints: set[tuple[str, str]] = set()
        self._credit, self._credited = float(BURST), 0.0

    @property
    def filters(self) -> Sequence[str]:
        """All commands, including unknown ones."""
        return [self._filter]

    async def connected(self, send: Send) -> None:
        """Publish all settings."""
        for control in self._controls.values():
            await send(control.state_topic, control.state(self._settings), retain=True)

    async def received(self, topic: str, payload: bytes, send: Send, *, retained: bool) -> None:
        """Carry out one command. A retained one is ignored: it was meant for another time."""
        if not payload:
            return  # clears a retained command
        if retained:
            self._complain(topic, "it is retained; clear it, and send commands without the retain flag")
            return
        try:
            control, obey = self._understand(topic, payload)
            if not self._affordable():
                raise ValueError("commands come too fast")
            before = {each: each.state(self._settings) for each in self._controls.values()}
            obey()
        except ValueError as error:
            self._complain(topic, str(error))
            return
        if before[control] != control.state(self._settings):
            log.info("%s: %s, by command", control.name, control.state(self._settings).decode())
            await self._apply()
        for each, state in before.items():
            if each is control or state != each.state(self._settings):
                await send(each.state_topic, each.state(self._settings), retain=True)

    def _understand(self, topic: str, payload: bytes) -> tuple[Control, Callable[[], None]]:
        """The control that is meant, and the call that sets it. Raises `ValueError`, as the call may."""
        control = self._controls.get(topic)
        if control is None:
            raise ValueError("unknown command")
        if len(payload) > MAX_PAYLOAD:
            raise ValueError(f"more than {MAX_PAYLOAD} bytes")
        return control, control.command(self._settings, payload.decode().strip())

    def _affordable(self) -> bool:
        """Spend one command of the allowed rate; False if none is left."""
        now = asyncio.get_running_loop().time()
        self._credit = min(BURST, self._credit + RATE * (now - self._credited))
        self._credited = now
        if self._credit < 1.0:
            return False
        self._credit -= 1.0
        return True

    def _complain(self, topic: str, why: str) -> None:
        topic = repr(topic if len(topic) <= MAX_SHOWN else f"…{topic[-MAX_SHOWN:]}")
        if (topic, why) in self._complaints or len(self._complaints) == MAX_COMPLAINTS:
            return
        self._complaints.add((topic, why))
        last = "; no more such lines" if len(self._complaints) == MAX_COMPLAINTS else ""
        log.warning("MQTT: ignoring a command on %s: %s%s", topic, why, last)


def _switch(text: str) -> bool:
    if text.upper() not in ("ON", "OFF"):
        raise ValueError(f"expected ON or OFF, not {reprlib.repr(text)}")
    return text.upper() == "ON"


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"expected a number from 0 to 1, not {reprlib.repr(text)}")
    return round(float(text), 4)
