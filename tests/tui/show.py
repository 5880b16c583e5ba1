"""Runs the display on the current terminal, for tests: `python -m tests.tui.show [fail|crash|bug|flood]`.

SIGTERM cancels the display, as an embedding program may. The last line of output says how it ended. `flood` sends
snapshots as fast as possible, and counts the rounds of the event loop in the file `ticks`.
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
    """Snapshots without end or until a failure, with the output of a C library on fd 2."""

    title = "chatter"

    def __init__(self, failure: Exception | None = None) -> None:
        self._failure = failure

    async def messages(self) -> AsyncIterator[Message]:
        """Yield four snapshots a second."""
        yield health(source("kitchen"))
        for count in range(10**6):
            os.write(2, b"ALSA lib pcm.c: noise on fd 2\n")
            yield snapshot("kitchen", -30.0 - count % 10, at=count / 4, Dog=0.9, Speech=0.3)
            await asyncio.sleep(0.25)
            if count == 8 and self._failure is not None:
                raise self._failure


class Flood:
    """Snapshots without end that change the whole screen."""

    title = "flood"

    async def messages(self) -> AsyncIterator[Message]:
        """Yield twenty snapshots a second, with a tick each."""
        for count in range(10**6):
            scores = {f"label {n}": random() for n in range(20)}
            yield snapshot("kitchen", -80 * random(), 0.0, **scores)
            self._count(count)
            await asyncio.sleep(0.05)

    def _count(self, count: int) -> None:
        Path("ticks").write_text(f"{count}", encoding="utf-8")


class Bug(Chatter):
    """A feed with an invalid title."""

    title: str = None  # type: ignore[assignment]


def feed(kind: str) -> Feed:
    """Return the feed of this name."""
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
    """Show the display, and return how it ended."""
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
    print(f"ended: {asyncio.run(main(''.join(sys.argv[1:])))}")
