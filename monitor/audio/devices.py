"""Input devices, and the one that a user means."""

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
