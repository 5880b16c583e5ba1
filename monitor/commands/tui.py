"""`tui`: watch a running monitor over MQTT."""

import asyncio
import signal
from collections.abc import Coroutine
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
    return asyncio.run(until_signal(run(MqttFeed(mqtt, options.node), state_folder() / "tui.log")))


async def until_signal(display: Coroutine[None, None, None]) -> int:
    """Run the display until it ends, or cancel it at SIGTERM or SIGHUP, so that it restores the terminal.

    Returns the exit code. A SIGHUP that the parent ignores, as nohup does, stays ignored.
    """
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(display)
    signals: list[signal.Signals] = []

    def end(number: signal.Signals) -> None:
        signals.append(number)
        if len(signals) == 1:  # a second one must not disturb the first
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, end, number)
    try:
        await task
    except asyncio.CancelledError:
        if not signals:
            raise
    return 128 + signals[0] if signals else 0
