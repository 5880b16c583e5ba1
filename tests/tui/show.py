"""Runs the display on the terminal it is started in, for the tests: `python -m tests.tui.show [fail|crash|bug|flood]`.

SIGTERM cancels the display, as a program that embeds it may. How it ended is printed last. `flood` shows as much as
it can and counts, in the file `ticks`, how often the event loop came round.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from random import random

from monitor.errors import BrokerError, MonitorError
from monitor.messages import Feed, Message
from monitor.tui import terminal
from tests.tui.feeds import health, snapshot, source


class Chatter:
    """Sounds for ever, or until it breaks; a C library talks on fd 2 meanwhile."""

    title = "chatter"

    def __init__(self, failure: Exception | None = None) -> None:
        self._failure = failure

    async def messages(self) -> AsyncIterator[Message]:
        """Four snapshots a second."""
        yield health(source("kitchen"))
        for count in range(10**6):
            os.write(2, b"ALSA lib pcm.c: noise on fd 2\n")
            yield snapshot("kitchen", -30.0 - count % 10, at=count / 4, Dog=0.9, Speech=0.3)
            await asyncio.sleep(0.25)
            if count == 8 and self._failure is not None:
                raise self._failure


class Flood:
    """A screen full of change, for ever."""

    title = "flood"

    async def messages(self) -> AsyncIterator[Message]:
        """Twenty snapshots a second; one tick each."""
        for count in range(10**6):
            scores = {f"label {n}": random() for n in range(20)}
            yield snapshot("kitchen", -80 * random(), 0.0, **scores)
            self._count(count)
            await asyncio.sleep(0.05)

    def _count(self, count: int) -> None:
        Path("ticks").write_text(f"{count}", encoding="utf-8")


class Bug(Chatter):
    """A display that is handed what it does not expect."""

    title: str = None  # type: ignore[assignment]


def feed(kind: str) -> Feed:
    """The feed of this name."""
    match kind:
        case "fail":
            return Chatter(BrokerError("the broker is gone"))
        case "crash":
            return Chatter(ValueError("a bug"))
        case "bug":
            return Bug()
        case "flood":
            return Flood()
        case _:
            return Chatter()


async def main(kind: str) -> str:
    """Show the display and say how it ended."""
    task = asyncio.ensure_future(terminal.run(feed(kind)))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return "cancelled"
    except (MonitorError, ValueError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    return "quit"


if __name__ == "__main__":
    print(f"ended: {asyncio.run(main(''.join(sys.argv[1:])))}")  # noqa: T201
