"""What systemd hears of the service, over real sockets."""

import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from monitor.notify import notify


@contextmanager
def systemd(address: str) -> Iterator[socket.socket]:
    """The socket that systemd would listen on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address)
        listening.settimeout(5)
        yield listening


def test_a_message_reaches_a_socket_in_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One datagram, a line for each assignment."""
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with systemd(address) as listening:
        notify(READY="1", STATUS="listening to büro")
        assert listening.recv(1000).decode() == "READY=1\nSTATUS=listening to büro"


def test_a_message_reaches_an_abstract_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Written with an @, as systemd does for containers."""
    name = f"test-{uuid.uuid4()}"
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
    with systemd(f"\0{name}") as listening:
        notify(WATCHDOG="1")
        assert listening.recv(1000) == b"WATCHDOG=1"


def test_nothing_is_said_outside_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its variable nothing is opened at all."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setattr(socket, "socket", None)
    notify(READY="1")


def test_a_socket_that_is_gone_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable left over from another service."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify(READY="1")


def test_a_socket_that_nobody_reads_holds_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When its buffer is full, messages are lost instead."""
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with systemd(address) as listening:
        for number in range(5000):
            notify(STATUS=str(number))
        assert listening.recv(100) == b"STATUS=0"
