"""The whole program under a watchdog: it reports progress exactly as long as it makes some."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.parts.slow_model import write_slow_model
from tests.parts.sounds import bursts, write_wav
from tests.parts.tiny_model import write_tiny_model

WATCHDOG = 3.0
"""Seconds, as in WatchdogSec."""
CONFIG = """
node: box
sources: [{{input: {folder}/room.wav, name: room, loop: true}}, {{input: 'pcm:{folder}/silent', name: silent}}]
model: {{name: {folder}/model.onnx}}
detection: {{rules: [{{label: Loud, preset: impulsive}}]}}
mqtt: {{host: 127.0.0.1, port: 9}}
events: {{path: {folder}/events.db}}
"""


class Supervised:
    """A monitor, and the messages that systemd would get."""

    def __init__(self, process: subprocess.Popen[bytes], messages: socket.socket) -> None:
        self.process = process
        self._messages = messages
        self.status = ""

    def expect(self, key: str, within: float = 30.0) -> str:
        """The next value of this key; raises `TimeoutError` if there is none in time."""
        deadline = time.monotonic() + within
        while True:
            self._messages.settimeout(max(0.001, deadline - time.monotonic()))
            said = dict(line.split("=", 1) for line in self._messages.recv(10_000).decode().splitlines())
            self.status = said.get("STATUS", self.status)
            if key in said:
                return said[key]

    def starves(self) -> bool:
        """Whether the watchdog gets nothing for longer than it waits, within a few times that."""
        for _ in range(40):
            try:
                self.expect("WATCHDOG", WATCHDOG)
            except TimeoutError:
                return True
        return False


@contextmanager
def supervised(folder: Path) -> Iterator[Supervised]:
    """A monitor whose broker is dead and of whose sources one is silent."""
    os.mkfifo(folder / "silent")
    silent = os.open(folder / "silent", os.O_RDWR)
    (folder / "config.yaml").write_text(CONFIG.format(folder=folder))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as messages:
        messages.bind(str(folder / "notify"))
        process = subprocess.Popen(
            [sys.executable, "-m", "monitor", "run", "--no-tui", "-c", folder / "config.yaml"],
            env={
                **os.environ,
                "XDG_STATE_HOME": str(folder),
                "NOTIFY_SOCKET": str(folder / "notify"),
                "WATCHDOG_USEC": str(round(WATCHDOG * 1e6)),
            },
            stderr=subprocess.DEVNULL,
        )
        try:
            yield Supervised(process, messages)
        finally:
            process.kill()
            process.wait()
            os.close(silent)


@pytest.fixture
def quiet(tmp_path: Path) -> Path:
    """A folder with a quick model and a recording of short sounds."""
    write_tiny_model(tmp_path / "model.onnx")
    write_wav(tmp_path / "room.wav", bursts(2.0, 0.5))
    return tmp_path


def test_a_dead_broker_a_silent_source_and_a_locked_log_are_no_reason_to_restart(quiet: Path) -> None:
    """The watchdog hears of progress for much longer than it would wait, and the status names what fails."""
    with supervised(quiet) as monitor:
        assert monitor.expect("READY") == "1"
        while not (quiet / "events.db").exists():
            monitor.expect("WATCHDOG")
        lock = sqlite3.connect(quiet / "events.db", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        while "event log: database is locked" not in monitor.status:
            monitor.expect("WATCHDOG", WATCHDOG)
        began = time.monotonic()
        while time.monotonic() < began + 2 * WATCHDOG:
            monitor.expect("WATCHDOG", WATCHDOG)
        assert monitor.status.startswith("listening to room; silent is ")
        assert "MQTT: " in monitor.status
        lock.close()
        monitor.process.terminate()
        monitor.expect("STOPPING")


def test_a_stopped_process_starves_the_watchdog(quiet: Path) -> None:
    """After SIGSTOP no progress is reported."""
    with supervised(quiet) as monitor:
        monitor.expect("WATCHDOG")
        monitor.process.send_signal(signal.SIGSTOP)
        assert monitor.starves()


def test_an_inference_that_hangs_starves_the_watchdog(tmp_path: Path) -> None:
    """The event loop runs and health is published, but no window is analysed: no progress."""
    write_slow_model(tmp_path / "model.onnx")
    write_wav(tmp_path / "room.wav", 2 * bursts(8.0, 5.0))
    with supervised(tmp_path) as monitor:
        monitor.expect("WATCHDOG")
        assert monitor.starves()
        assert monitor.process.poll() is None
