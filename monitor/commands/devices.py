"""`devices`: the microphones that there are."""

from argparse import Namespace

from rich.console import Console
from rich.table import Table

from monitor.audio.microphone import list_devices


def main(_: Namespace) -> int:
    """Print a table of input devices; the exit code is 69 where there is none."""
    devices = list_devices()
    if not devices:
        Console(stderr=True).print("no input device found; is a microphone plugged in, or a sound server running?")
        return 69
    table = Table("", "index", "name", "host API", "channels", "default rate", box=None, pad_edge=False)
    for device in devices:
        mark = "*" if device.default else ""
        rate = f"{device.rate} Hz"
        table.add_row(mark, str(device.index), device.name, device.host_api, str(device.channels), rate)
    Console(soft_wrap=True).print(table)
    return 0
