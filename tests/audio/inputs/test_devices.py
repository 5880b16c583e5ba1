"""Choice of a microphone by name or number."""

import pytest

from monitor.audio.inputs.devices import InputDevice, choose, choose_again
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


@pytest.mark.parametrize(
    ("name", "now", "index"),
    [
        ("USB (hw:1,0)", ["USB (hw:1,0)", "HDMI (hw:0,0)"], 0),
        ("USB (hw:1,0)", ["HDMI (hw:0,0)", "Webcam (hw:1,0)", "USB (hw:2,0)"], 2),
        ("USB (hw:1,0)", ["USB (hw:2,0)", "USB (hw:1,0)"], 1),
        ("default", ["USB (hw:1,0)", "default"], 1),
    ],
)
def test_a_number_follows_its_device(name: str, now: list[str], index: int) -> None:
    """A device that was chosen by its number is found under its new number, also if its card has another one."""
    before = InputDevice(0, name, "ALSA", 1, 48000, default=False)
    devices = [InputDevice(at, each, "ALSA", 1, 48000, default=False) for at, each in enumerate(now)]
    assert choose_again(before, devices).index == index


@pytest.mark.parametrize(
    ("now", "message"),
    [(["Webcam (hw:1,0)"], "it is gone"), (["x", "USB (hw:2,0)", "USB (hw:3,0)"], "several devices have its name")],
)
def test_another_device_does_not_take_a_number_over(now: list[str], message: str) -> None:
    """A number whose device is gone, or cannot be told from another, is an error instead of another microphone."""
    before = InputDevice(0, "USB (hw:1,0)", "ALSA", 1, 48000, default=False)
    devices = [InputDevice(at, each, "ALSA", 1, 48000, default=False) for at, each in enumerate(now)]
    with pytest.raises(SourceError, match=f"device 0 was 'USB .*{message}; choose a microphone by its name"):
        choose_again(before, devices)
