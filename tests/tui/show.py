"""Runs the display on the terminal it is started in, for the tests: `python -m tests.tui.show [fail|crash]`.

SIGTERM cancels the display, as a program that embeds it may. How it ended is printed last.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator

from monitor.errors import BrokerError, MonitorError
from monitor.messages import Message
from monitor.tui import terminal
from tests.tui.feeds import health, snapshot, source


class Chatter:
    """Sounds for ever, or until it breaks; a C library talks on fd 2 meanwhile."""

    title = "chatter"

    def __init__(self, failure: Exception | None) -> None:
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


async def main(kind: str) -> str:
    """Show the display and say how it ended."""
    failure = {"fail": BrokerError("the broker is gone"), "crash": ValueError("a bug")}.get(kind)
    task = asyncio.ensure_future(terminal.run(Chatter(failure)))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return "cancelled"
    except (MonitorError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return "quit"


if __name__ == "__main__":
    print(f"ended: {asyncio.run(main(''.join(sys.argv[1:])))}")  # noqa: T201
