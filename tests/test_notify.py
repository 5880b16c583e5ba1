"""Notifications to systemd, over real sockets."""

import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from monitor.notify import Watchdog, notify


@contextmanager
def systemd(address: str) -> Iterator[socket.socket]:
    """The socket that systemd would listen on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address)
        listening.settimeout(5)
        yield listening


def test_a_message_reaches_a_socket_in_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notification is one datagram, with a line for each assignment."""
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with systemd(address) as listening:
        notify(READY="1", STATUS="listening to büro")
        assert listening.recv(1000).decode() == "READY=1\nSTATUS=listening to büro"


def test_a_message_reaches_an_abstract_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address with an @ is an abstract socket, as systemd uses in containers."""
    name = f"test-{uuid.uuid4()}"
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
    with systemd(f"\0{name}") as listening:
        notify(WATCHDOG="1")
        assert listening.recv(1000) == b"WATCHDOG=1"


def test_nothing_is_sent_outside_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the variable no socket is opened."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setattr(socket, "socket", None)
    notify(READY="1")


def test_a_missing_socket_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable left over from another service raises nothing."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify(READY="1")


def test_a_full_socket_does_not_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the socket's buffer is full, notifications are dropped."""
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with systemd(address) as listening:
        for number in range(5000):
            notify(STATUS=str(number))
        assert listening.recv(100) == b"STATUS=0"


def test_progress_reaches_the_watchdog_several_times_in_its_period(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least ten messages in the period of the watchdog, and far fewer than calls."""
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    now = [5.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with systemd(address) as listening:
        listening.setblocking(False)
        watchdog, received = Watchdog(), []
        for _ in range(200):
            watchdog.progress()
            now[0] += 0.01
            with suppress(BlockingIOError):
                received.append(listening.recv(100))
    assert set(received) == {b"WATCHDOG=1"}
    assert 18 <= len(received) <= 20


@pytest.mark.parametrize(("micros", "pid"), [("", ""), ("nonsense", ""), ("1000000", "1")])
def test_progress_is_silent_without_a_watchdog(micros: str, pid: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent if systemd wants no messages, or those of another process."""
    monkeypatch.setenv("WATCHDOG_USEC", micros)
    monkeypatch.setenv("WATCHDOG_PID", pid)
    monkeypatch.setattr(socket, "socket", None)
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")
    Watchdog().progress()
