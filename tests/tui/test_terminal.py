"""The display on a real terminal, in tmux, and the state of the terminal afterwards."""

import os
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.parts.pane import PATIENCE, ROOT, Pane, needs_tmux

pytestmark = [pytest.mark.real, needs_tmux]


def test_shows_scores_and_quits_on_q(tmux_socket: Path) -> None:
    """The screen has scores but no output of fd 2; q restores the terminal and then shows that output."""
    pane = Pane(tmux_socket)
    for text in ("Speech", "0.90", "█", "listening", "kitchen microphone"):  # on a slow machine one after another
        pane.wait_for(text)
    time.sleep(1)
    assert "ALSA" not in pane.screen
    pane.tmux("send-keys", "q")
    assert "ALSA lib pcm.c" in pane.wait_for("ended: quit")
    pane.assert_clean()


def test_cancellation_leaves_a_clean_terminal(tmux_socket: Path) -> None:
    """A cancelled display restores the terminal, and its caller is cancelled."""
    pane = Pane(tmux_socket)
    pane.wait_for("Speech")
    pane.signal("TERM")
    pane.wait_for("ended: cancelled")
    pane.assert_clean()


def test_cancellation_during_start_leaves_a_clean_terminal(tmux_socket: Path) -> None:
    """A display that is cancelled during its start restores the terminal."""
    pane = Pane(tmux_socket)
    end = time.monotonic() + PATIENCE
    while pane.tmux("display-message", "-p", "#{alternate_on}").strip() != "1":
        assert time.monotonic() < end, "the display did not start"
    pane.signal("TERM")
    pane.wait_for("ended: cancelled")
    pane.assert_clean()


@pytest.mark.parametrize(("kind", "end"), [("fail", "BrokerError: the broker is gone"), ("crash", "ValueError: a bug")])
def test_a_broken_feed_leaves_a_clean_terminal(tmux_socket: Path, kind: str, end: str) -> None:
    """An exception of the feed reaches the caller after the terminal is restored."""
    pane = Pane(tmux_socket, kind)
    pane.wait_for("Speech")
    pane.wait_for(f"ended: {end}")
    pane.assert_clean()


def test_a_display_that_fails_leaves_a_clean_terminal(tmux_socket: Path) -> None:
    """A bug in the display prints its traceback after the terminal is restored."""
    pane = Pane(tmux_socket, "bug")
    assert "TypeError" in pane.wait_for("ended: RuntimeError: the display failed")
    pane.assert_clean()


@contextmanager
def bare_terminal(folder: Path, kind: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run the display in `folder` on a pseudo-terminal, whose loss does not kill the program."""
    master, slave = os.openpty()
    termios.tcsetwinsize(slave, (60, 200))
    command = ["setsid", "--ctty", "nohup", sys.executable, "-m", "tests.tui.show", kind]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
    with subprocess.Popen(command, cwd=folder, env=environment, stdin=slave, stdout=slave, stderr=slave) as program:
        try:
            yield master, program
        finally:
            program.kill()
            os.close(slave)


@pytest.mark.slow
def test_an_unread_terminal_does_not_block_the_event_loop(tmp_path: Path) -> None:
    """The event loop runs while nothing reads the terminal, as behind a stalled connection."""
    with bare_terminal(tmp_path, "flood") as (master, _):
        ticks, end = tmp_path / "ticks", time.monotonic() + PATIENCE
        while not ticks.exists() or int(ticks.read_text() or 0) < 200:
            assert time.monotonic() < end, "the event loop is blocked"
            time.sleep(0.1)
    os.close(master)


def test_a_disconnected_terminal_ends_the_display(tmp_path: Path) -> None:
    """A disconnected terminal counts as quitting."""
    with bare_terminal(tmp_path, "") as (master, program):
        while b"Speech" not in os.read(master, 65536):
            pass
        os.close(master)
        program.wait(PATIENCE)
    assert "ended: quit" in (tmp_path / "nohup.out").read_text()


def test_works_without_colour(tmux_socket: Path) -> None:
    """A terminal without colours shows the same text."""
    pane = Pane(tmux_socket, term="vt100", columns=80)
    assert "● Dog" in pane.wait_for("Speech")


def test_no_terminal_is_an_error(tmp_path: Path) -> None:
    """Without a terminal there is an error instead of Textual's traceback."""
    command = "import asyncio; from tests.tui import show; print(asyncio.run(show.main('')))"
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, start_new_session=True, capture_output=True, text=True, check=True
    )
    assert "UsageError: the display requires a terminal" in done.stdout


def test_loads_no_audio_no_inference_no_broker() -> None:
    """Importing the display loads no library of other parts."""
    command = "import sys, monitor.tui.terminal; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"onnxruntime", "sounddevice", "av", "soxr", "aiomqtt"} & set(done.stdout.split())
