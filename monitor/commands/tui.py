"""`tui`: watch a running monitor over MQTT."""

import asyncio
from argparse import Namespace

import msgspec

from monitor.commands.common import configuration
from monitor.config.paths import state_folder
from monitor.errors import ConfigError
from monitor.mqtt.feed import MqttFeed
from monitor.tui.terminal import run


def main(arguments: Namespace) -> int:
    """Show the monitor until the user quits."""
    config = configuration(arguments)
    mqtt = msgspec.structs.replace(config.mqtt, host=arguments.host) if arguments.host else config.mqtt
    if mqtt.host is None:
        raise ConfigError("no broker to attach to: give --host, or set mqtt.host in the configuration")
    asyncio.run(run(MqttFeed(mqtt, arguments.node), state_folder() / "tui.log"))
    return 0
