"""State notifications to systemd, if it asks for them (sd_notify, WatchdogSec)."""

import logging
import os
import socket
import time

PINGS = 10
"""Watchdog messages in the time within which systemd requires one."""

log = logging.getLogger(__name__)


def notify(**state: str) -> None:
    """Send for example `READY="1"` or `STATUS="..."`; do nothing outside systemd. Never blocks, never raises."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    message = "\n".join(f"{key}={value}" for key, value in state.items())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sock:
        try:
            sock.sendto(message.encode(), address)
        except OSError as error:
            log.debug("cannot notify systemd of %s: %s", ", ".join(state), error)


class Watchdog:
    """Reports progress to systemd, which restarts a program that makes none for `WatchdogSec`."""

    def __init__(self) -> None:
        micros, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
        wanted = micros.isdecimal() and pid in ("", str(os.getpid()))
        self._every = int(micros) / 1e6 / PINGS if wanted else None
        self._at = 0.0

    def progress(self) -> None:
        """Note that the program has just done some of its work; call this often."""
        now = time.monotonic()
        if self._every is not None and now - self._at >= self._every:
            self._at = now
            notify(WATCHDOG="1")
