"""`devices`: list the available microphones."""

from dataclasses import dataclass

from monitor.commands.options import CommandOptions
from monitor.errors import SourceError


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(CommandOptions):
    """`devices` has no options."""

    DESCRIPTION = "Lists input devices; * marks the default one."


def main(_: Options) -> int:
    """Print a table of input devices. Raises `SourceError` if there is none."""
    from monitor.audio.inputs.devices import NO_MICROPHONE
    from monitor.audio.inputs.microphone import list_devices
    from monitor.commands.output import print_table

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
