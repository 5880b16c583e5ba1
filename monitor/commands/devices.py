"""`devices`: the microphones that there are."""

from argparse import Namespace

from monitor.audio.devices import NO_MICROPHONE
from monitor.audio.microphone import list_devices
from monitor.commands.table import print_table
from monitor.errors import SourceError


def main(_: Namespace) -> int:
    """Print a table of input devices. Raises `SourceError` where there is none."""
    devices = list_devices()
    if not devices:
        raise SourceError(NO_MICROPHONE)
    print_table(
        ("", "index", "name", "host API", "channels", "default rate"),
        [
            (
                "*" if device.default else "",
                str(device.index),
                device.name,
                device.host_api,
                str(device.channels),
                f"{device.rate} Hz",
            )
            for device in devices
        ],
    )
    return 0
