"""`tui`: watch a running monitor over MQTT."""

import asyncio
from dataclasses import dataclass

import msgspec

from monitor.commands.options import ConfigOptions, configuration, option
from monitor.config.paths import state_folder
from monitor.errors import ConfigError, UsageError


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(ConfigOptions):
    """Options of `tui`."""

    DESCRIPTION = "Shows what a running monitor detects, from any machine that reaches its broker."

    host: str | None = option("--host", help="the broker, instead of the configured one")
    node: str | None = option("--node", help="watch the monitor of this name; default: the first that answers")


def main(options: Options) -> int:
    """Show the monitor until the user quits. Raises `MonitorError`."""
    from monitor.mqtt.feed import MqttFeed
    from monitor.tui.terminal import run

    mqtt = configuration(options.config).mqtt
    if options.host:
        try:
            mqtt = msgspec.structs.replace(mqtt, host=options.host)
        except ValueError as error:
            raise UsageError(f"--host: {error}") from error
    if mqtt.host is None:
        raise ConfigError("no broker to attach to: use --host, or set mqtt.host in the configuration")
    asyncio.run(run(MqttFeed(mqtt, options.node), state_folder() / "tui.log"))
    return 0
