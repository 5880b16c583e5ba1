"""`run`: listen until told to stop."""

import asyncio
import contextlib
import logging
import signal
import sys
from argparse import Namespace
from collections.abc import Callable

import msgspec

from monitor.commands.common import configuration, log_to_stderr
from monitor.config.paths import state_folder
from monitor.messages import Detection, Feed
from monitor.service import Service
from monitor.stdio import LineOutlet

log = logging.getLogger(__name__)

FLUSH = 2.0
"""Seconds that a slow reader of stdout or stderr gets at the end."""


def main(arguments: Namespace) -> int:
    """Run the monitor; returns the exit code."""
    config = configuration(arguments)
    logs = log_to_stderr(config.logging.level)
    try:
        return asyncio.run(_run(Service(config), arguments))
    finally:
        logs.flush(FLUSH)


async def _run(service: Service, arguments: Namespace) -> int:
    loop = asyncio.get_running_loop()
    lines: LineOutlet | None = None
    if arguments.json:
        lines = LineOutlet(1, on_broken=lambda: _call(loop, service.stop))

    def print_json(detection: Detection) -> None:
        if lines is not None:
            lines.write(msgspec.json.encode(detection).decode())

    try:
        ended_by = await service.run(_show_tui if _wants_tui(arguments) else None, print_json, arguments.duration)
    finally:
        if lines is not None:
            missing = await asyncio.to_thread(lines.flush, FLUSH)
            if missing and not lines.broken:
                log.warning("%d lines are missing on stdout: its reader is too slow, or its disk full", missing)
    if lines is not None and lines.broken:
        return 128 + signal.SIGPIPE
    return 128 + signal.SIGINT if ended_by is signal.SIGINT else 0


def _call(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    """Have the loop call it, from another thread; one that has ended needs no call."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function)


def _wants_tui(arguments: Namespace) -> bool:
    if arguments.tui is not None:
        return bool(arguments.tui)
    return not arguments.json and sys.stdin.isatty() and sys.stdout.isatty()


async def _show_tui(feed: Feed) -> None:
    from monitor.tui.terminal import run  # a service loads no textual

    await run(feed, state_folder() / "monitor.log")
