"""Choice of a microphone by name or number."""

import pytest

from monitor.audio.devices import InputDevice, choose
from monitor.errors import SourceError

DEVICES = [
    InputDevice(0, "USB Audio: front (hw:1,0)", "ALSA", 1, 48000, default=False),
    InputDevice(2, "USB Audio: back (hw:2,0)", "ALSA", 1, 48000, default=False),
    InputDevice(5, "default", "ALSA", 32, 44100, default=True),
    InputDevice(6, "default too", "ALSA", 32, 44100, default=False),
]


@pytest.mark.parametrize(("wanted", "index"), [("", 5), ("2", 2), ("BACK", 2), ("Default", 5), ("too", 6)])
def test_a_name_a_part_of_it_or_a_number_chooses(wanted: str, index: int) -> None:
    """An exact name precedes a part of a name, and case does not matter."""
    assert choose(wanted, DEVICES).index == index


@pytest.mark.parametrize(
    ("wanted", "devices", "message"),
    [
        ("usb", DEVICES, r"several devices match: 0 'USB Audio: front \(hw:1,0\)', 2 'USB"),
        ("webcam", DEVICES, "no device has this name .* 5 'default'"),
        ("1", DEVICES, "no device has this name or number"),
        ("", DEVICES[:2], "there is no default device; available: 0 "),
        ("", [], "no microphone found; .*group audio"),
    ],
)
def test_an_ambiguous_or_unknown_name_lists_the_devices(wanted: str, devices: list[InputDevice], message: str) -> None:
    """No match and several matches raise an error that lists the available devices."""
    with pytest.raises(SourceError, match=message):
        choose(wanted, devices)
