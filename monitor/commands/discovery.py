"""`discovery clear`: remove a monitor from Home Assistant and the broker."""

import asyncio
import re
import sys
from dataclasses import dataclass

from monitor.commands.options import ConfigOptions, configuration, option
from monitor.config.schema import NAME
from monitor.errors import ConfigError, UsageError


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(ConfigOptions):
    """Options of `discovery`."""

    DESCRIPTION = (
        "A monitor with a broker announces itself to Home Assistant.\n"
        "`discovery clear` removes its device, and every message that the broker retains\n"
        "for it. Stop the monitor first: it announces itself again whenever it connects."
    )
    EPILOG = (
        "examples:\n"
        "  sound-monitor discovery clear                    this monitor, at the configured broker\n"
        "  sound-monitor discovery clear --node old-name    a monitor that was renamed or is gone\n"
    )

    action: str = option(metavar="clear", choices=("clear",), help="remove the device and all retained messages")
    node: str | None = option("--node", help="the monitor of this name instead of the configured one")


def main(options: Options) -> int:
    """Clear the topics of one monitor and say how many there were. Raises `MonitorError`."""
    from monitor.mqtt.cleanup import clear

    config = configuration(options.config)
    if config.mqtt.host is None:
        raise ConfigError("no broker to clear: set mqtt.host in the configuration")
    node = options.node or config.node_name
    if not re.match(NAME, node):
        raise UsageError(f"--node {node}: a node name has only letters, digits, - and _")
    cleared = asyncio.run(clear(config.mqtt, node))
    entities, topics = cleared.entities, cleared.topics
    device = "no device" if entities is None else f"the device with {entities} entit{'y' if entities == 1 else 'ies'}"
    print(f"{node}: removed {device} from Home Assistant, and {topics} retained topic{'s' * (topics != 1)}")
    if cleared.running:
        print(
            f"{node} is running: it announces itself again when it next connects; "
            "stop it, or set mqtt.discovery to false and restart it, then clear again",
            file=sys.stderr,
        )
    return 0
