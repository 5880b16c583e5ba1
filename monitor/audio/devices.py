"""Which microphone a user means."""

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.errors import SourceError


@dataclass(frozen=True, slots=True)
class InputDevice:
    """A device that can record."""

    index: int
    """PortAudio's number for it, until devices come or go."""
    name: str
    host_api: str
    channels: int
    """The most it has."""
    rate: int
    """Its own, in Hertz."""
    default: bool


def choose(wanted: str, devices: Sequence[InputDevice]) -> InputDevice:
    """The device with this number or exact name, or else the only one with `wanted` in its name.

    Case does not matter; empty means the default. Raises `SourceError`.
    """
    if not devices:
        raise SourceError("no microphone found; is one plugged in, and may this user record (group audio)?")
    if wanted.isdecimal():
        found = [device for device in devices if device.index == int(wanted)]
    elif wanted:
        name = wanted.casefold()
        found = [device for device in devices if device.name.casefold() == name]
        found = found or [device for device in devices if name in device.name.casefold()]
    else:
        found = [device for device in devices if device.default]
    if len(found) == 1:
        return found[0]
    names = ", ".join(f"{device.index} {device.name!r}" for device in found or devices)
    if found:
        raise SourceError(f"several microphones fit: {names}; give more of the name, or the number")
    what = "no microphone has this name or number" if wanted else "no microphone is the default"
    raise SourceError(f"{what}; there are: {names}")
