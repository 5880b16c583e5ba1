"""Tells systemd how the service does, where systemd asked for it (sd_notify)."""

import os
import socket


def notify(**state: str) -> None:
    """Send for example `READY="1"` or `STATUS="..."`; does nothing outside systemd."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    message = "\n".join(f"{key}={value}" for key, value in state.items())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.sendto(message.encode(), address)
