"""Input devices, and the one that a user means."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from monitor.errors import SourceError

NO_MICROPHONE = "no microphone found; plug one in, start a sound server, or add this user to the group audio"


@dataclass(frozen=True, slots=True)
class InputDevice:
    """A device that can record."""

    index: int
    """PortAudio's number of the device, valid until a device is added or removed."""
    name: str
    host_api: str
    channels: int
    """The most that it can record."""
    rate: int
    """Its default rate, Hertz."""
    default: bool


CARD = re.compile(r" \(hw:\d+,\d+\)$")
"""End of the name of a sound card's device; its number changes when cards are plugged in another order."""


def choose_again(before: InputDevice, devices: Sequence[InputDevice]) -> InputDevice:
    """Return the device that was once `before`, whatever number it has now. Raises `SourceError`."""
    card = CARD.sub("", before.name)
    found = [device for device in devices if device.name == before.name]
    found = found or [device for device in devices if CARD.sub("", device.name) == card]
    found = [device for device in found if device.index == before.index] or found
    if len(found) != 1:
        what = "several devices have its name" if found else "it is gone"
        raise SourceError(f"device {before.index} was {before.name!r}: {what}; choose a microphone by its name")
    return found[0]


def choose(wanted: str, devices: Sequence[InputDevice]) -> InputDevice:
    """Return the device with this number or exact name, otherwise the only one whose name contains `wanted`.

    Case does not matter; an empty name means the default device. Raises `SourceError`.
    """
    if not devices:
        raise SourceError(NO_MICROPHONE)
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
        raise SourceError(f"several devices match: {names}; give more of the name, or the number")
    what = "no device has this name or number" if wanted else "there is no default device"
    raise SourceError(f"{what}; available: {names}")
