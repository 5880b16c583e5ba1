"""Takes commands over MQTT: checks them, has them carried out, and answers with what is in force then.

Whatever a stranger may send: a payload that is no command, or comes too fast, changes nothing.
"""

import asyncio
import logging
import re
import reprlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from monitor.control.settings import Settings
from monitor.mqtt.companion import Send
from monitor.mqtt.controls import Control, Role
from monitor.mqtt.topics import OFF, ON, Topics

LONGEST = 64
"""Bytes of a payload that are looked at; no command is longer."""

BURST, RATE = 100, 5.0
"""Commands that may come at once, as when a scene is set, and in the long run a second."""

COMPLAINTS = 20
"""Most lines in the log about what is ignored, each once."""

SHOWN = 120
"""Most characters of a topic in the log."""

_NUMBER = re.compile(r"[0-9]*\.?[0-9]+")
_log = logging.getLogger(__name__)


class Commands:
    """The publisher's companion. `apply` makes the monitor act on changed settings, and keeps them."""

    def __init__(
        self,
        topics: Topics,
        controls: Sequence[Control],
        settings: Settings,
        apply: Callable[[], Awaitable[None]],
    ) -> None:
        self._filter = f"{topics.prefix}/{topics.node}/set/#"
        self._controls = {control.command_topic: control for control in controls}
        self._settings, self._apply = settings, apply
        self._complaints: set[tuple[str, str]] = set()
        self._credit, self._credited = float(BURST), 0.0

    @property
    def filters(self) -> Sequence[str]:
        """All commands, also those that we do not know."""
        return [self._filter]

    async def connected(self, send: Send) -> None:
        """Tell all that is in force."""
        for control in self._controls.values():
            await send(control.state_topic, self._state(control), True)

    async def received(self, topic: str, payload: bytes, retained: bool, send: Send) -> None:
        """Carry out one command. What is retained was meant for another time, and is not."""
        if not payload:
            return  # someone clears a retained command
        if retained:
            self._complain(topic, "it is retained; clear it, and send commands without the retain flag")
            return
        try:
            control, obey = self._understand(topic, payload)
            if not self._affordable():
                raise ValueError("commands come too fast")
            before = {each: self._state(each) for each in self._controls.values()}
            obey()
        except ValueError as error:
            self._complain(topic, str(error))
            return
        if before[control] != self._state(control):
            _log.info("%s: %s, by command", control.name, self._state(control).decode())
            await self._apply()
        for each, state in before.items():
            if each is control or state != self._state(each):
                await send(each.state_topic, self._state(each), True)

    def _understand(self, topic: str, payload: bytes) -> tuple[Control, Callable[[], None]]:
        """What is to be set, and how. Raises `ValueError`, as the call that it returns may."""
        control = self._controls.get(topic)
        if control is None:
            raise ValueError("there is no such command")
        if len(payload) > LONGEST:
            raise ValueError(f"more than {LONGEST} bytes")
        text, settings = payload.decode().strip(), self._settings
        match control.role, control.label:
            case Role.ENABLED, str(label):
                return control, partial(settings.enable, label, _switch(text))
            case Role.THRESHOLD, str(label):
                return control, partial(settings.set_threshold, label, _number(text))
            case Role.PROFILE, _:
                return control, partial(settings.choose, text)
        return control, partial(settings.pause, _switch(text))

    def _state(self, control: Control) -> bytes:
        """What is in force, as it stands on the control's state topic."""
        settings = self._settings
        match control.role, control.label:
            case Role.ENABLED, str(label):
                return ON if settings.sound(label).enabled else OFF
            case Role.THRESHOLD, str(label):
                return f"{settings.sound(label).rule.on:g}".encode()
            case Role.PROFILE, _:
                return settings.choices.profile.encode()
        return ON if settings.choices.paused else OFF

    def _affordable(self) -> bool:
        """Whether one more command may come now."""
        now = asyncio.get_running_loop().time()
        self._credit = min(BURST, self._credit + RATE * (now - self._credited))
        self._credited = now
        if self._credit < 1.0:
            return False
        self._credit -= 1.0
        return True

    def _complain(self, topic: str, why: str) -> None:
        topic = repr(topic if len(topic) <= SHOWN else f"…{topic[-SHOWN:]}")
        if (topic, why) in self._complaints or len(self._complaints) == COMPLAINTS:
            return
        self._complaints.add((topic, why))
        last = "; no more such lines" if len(self._complaints) == COMPLAINTS else ""
        _log.warning("MQTT: ignoring a command on %s: %s%s", topic, why, last)


def _switch(text: str) -> bool:
    if text.upper() not in ("ON", "OFF"):
        raise ValueError(f"expected ON or OFF, not {reprlib.repr(text)}")
    return text.upper() == "ON"


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"expected a number from 0 to 1, not {reprlib.repr(text)}")
    return round(float(text), 4)
