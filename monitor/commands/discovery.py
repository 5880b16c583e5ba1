"""`discovery clear`: take a monitor back from Home Assistant and the broker."""

import asyncio
import re
import sys
from argparse import Namespace

from monitor.commands.common import configuration
from monitor.config.schema import NAME
from monitor.errors import ConfigError, UsageError
from monitor.mqtt.cleanup import clear


def main(arguments: Namespace) -> int:
    """Remove all, and say what that was."""
    config = configuration(arguments)
    if config.mqtt.host is None:
        raise ConfigError("no broker to clear: set mqtt.host in the configuration")
    node = arguments.node or config.node_name
    if not re.match(NAME, node):
        raise UsageError(f"--node {node}: the name of a node has only letters, digits, - and _")
    cleared = asyncio.run(clear(config.mqtt, node))
    entities, topics = cleared.entities, cleared.topics
    device = "no device" if entities is None else f"the device with {entities} entit{'y' if entities == 1 else 'ies'}"
    print(f"{node}: removed {device} from Home Assistant, and {topics} retained topic{'s' * (topics != 1)}")  # noqa: T201
    if cleared.running:
        print(  # noqa: T201
            f"{node} is running: it announces itself again when it next connects; "
            "stop it, or set mqtt.discovery to false and restart it, then clear again",
            file=sys.stderr,
        )
    return 0
