"""`run`: listen until a signal, the end of all sources, or the end of the display."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from monitor.audio.spec import FORMS
from monitor.commands import EXIT_CODES
from monitor.commands.options import ModelOptions, configuration, option, seconds
from monitor.stdio import LineOutlet

if TYPE_CHECKING:
    from monitor.messages import Detection, Feed
    from monitor.service import Service

log = logging.getLogger(__name__)

PRIVATE = 0o027
"""Permissions that new files and folders do not get: none for others, no writing for the group."""
FLUSH = 2.0
"""Seconds that a slow reader of stdout or stderr gets at the end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(ModelOptions):
    """Options of `run`."""

    DESCRIPTION = "Listens to the configured sources until Ctrl-C. On a terminal it shows a live view."
    EPILOG = (
        f"sources (SPEC), several of which can run at once:\n{FORMS}\n\n"
        "examples:\n"
        "  sound-monitor run                              the default microphone, or the demonstration\n"
        "  sound-monitor run --source mic:USB --json      one line of JSON for each detection, for a script\n"
        "  sound-monitor run -c config.yaml --no-tui      as a service runs it\n\n" + EXIT_CODES
    )

    source: tuple[str, ...] = option(
        "--source", metavar="SPEC", action="append", default=(), help="listen to this; may be given several times"
    )
    loop: bool = option("--loop", action="store_true", default=False, help="repeat files endlessly")
    tui: bool | None = option(
        "--tui", action=argparse.BooleanOptionalAction, help="show the live view (default: on a terminal)"
    )
    json: bool = option("--json", action="store_true", default=False, help="print each detection as one line of JSON")
    duration: float | None = option("--duration", metavar="S", type=seconds, help="stop after this many seconds")


def main(options: Options) -> int:
    """Run the monitor; returns the exit code. Raises `MonitorError`."""
    from monitor.commands.output import log_to_stderr
    from monitor.config.paths import config_file, exposes_password
    from monitor.service import Service

    config = configuration(options.config, model=options.model, sources=options.source, loop=options.loop)
    logs = log_to_stderr(config.logging.level)
    if exposes_password(file := options.config or config_file(), config):
        log.warning("every user of this machine can read the password in %s: run chmod o= %s", file, file)
    before = os.umask(PRIVATE)
    os.umask(before | PRIVATE)
    try:
        return asyncio.run(_run(Service(config), options))
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # an echo of it must not change the exit code while Python ends
        os.umask(before)
        logs.flush(FLUSH)


async def _run(service: Service, options: Options) -> int:
    loop = asyncio.get_running_loop()
    lines: LineOutlet | None = None
    if options.json:
        lines = LineOutlet(1, on_broken=lambda: _call(loop, service.stop))

    def print_json(detection: Detection) -> None:
        if lines is not None:
            lines.write(msgspec.json.encode(detection).decode())

    try:
        ended_by = await service.run(_show_tui if _shows_tui(options) else None, print_json, options.duration)
    finally:
        if lines is not None:
            missing = await asyncio.to_thread(lines.flush, FLUSH)
            if missing and not lines.broken:
                log.warning("%d lines are missing on stdout: its reader is too slow, or its disk full", missing)
    if lines is not None and lines.broken:
        return 128 + signal.SIGPIPE
    return 128 + signal.SIGINT if ended_by is signal.SIGINT else 0


def _call(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    """Have the loop call the function, from another thread; a loop that has ended needs no call."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function)


def _shows_tui(options: Options) -> bool:
    if options.tui is not None:
        return options.tui
    return not options.json and sys.stdin.isatty() and sys.stdout.isatty()


async def _show_tui(feed: Feed) -> None:
    from monitor.config.paths import state_folder
    from monitor.tui.terminal import run  # a service loads no textual

    await run(feed, state_folder() / "monitor.log")
