"""State notifications to systemd, if it asks for them (sd_notify)."""

import logging
import os
import socket

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
