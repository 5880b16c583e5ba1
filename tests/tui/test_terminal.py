"""The display on a real terminal, in tmux: it shows, and it leaves the terminal as it found it."""

import os
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0
"""Seconds until a test gives up; far more than is needed."""

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


class Pane:
    """One program on a terminal of its own."""

    def __init__(self, socket: Path, *arguments: str, term: str = "tmux-256color", columns: int = 100) -> None:
        self._socket = socket
        program = f"{sys.executable} -m tests.tui.show {' '.join(arguments)} & echo $! > {socket}.pid; fg"
        shell = f"set -m; export TERM={term}; {program}; exec sleep 1000"
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", f"{columns}", "-y", "30", "sh", "-c", shell)

    def tmux(self, *arguments: str) -> str:
        """Run a tmux command against this pane's own server."""
        command = ["tmux", "-S", str(self._socket), *arguments]
        environment = os.environ | {"LC_ALL": "C.UTF-8"}
        return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout

    @property
    def screen(self) -> str:
        """What stands on the terminal."""
        return self.tmux("capture-pane", "-p")

    def wait_for(self, text: str) -> str:
        """The screen once it holds the text."""
        end = time.monotonic() + PATIENCE
        while text not in (screen := self.screen):
            assert time.monotonic() < end, f"{text!r} did not appear:\n{screen}"
            time.sleep(0.1)
        return screen

    def signal(self, name: str) -> None:
        """Send a signal to the program."""
        os.kill(int(Path(f"{self._socket}.pid").read_text()), signal.Signals[f"SIG{name}"])

    def assert_clean(self) -> None:
        """The terminal is as a shell wants it."""
        flags = self.tmux("display-message", "-p", "#{alternate_on} #{cursor_flag} #{mouse_any_flag}")
        assert flags.split() == ["0", "1", "0"], "alternate screen off, cursor on, mouse off"
        settings = subprocess.run(
            ["stty", "-F", self.tmux("display-message", "-p", "#{pane_tty}").strip(), "-a"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        assert {"echo", "icanon", "isig"} <= set(settings)


@pytest.fixture
def socket(tmp_path: Path) -> Iterator[Path]:
    """Where a tmux server of the test's own listens; it is gone afterwards."""
    path = tmp_path / "tmux"
    yield path
    subprocess.run(["tmux", "-S", str(path), "kill-server"], check=False, capture_output=True)


def test_shows_scores_and_quits_on_q(socket: Path) -> None:
    """Labels, bars and scores are on the screen, noise on fd 2 is not; q leaves a clean terminal and then shows it."""
    pane = Pane(socket)
    screen = pane.wait_for("Speech")
    assert "0.90" in screen
    assert "█" in screen
    assert "kitchen microphone" in pane.wait_for("listening")
    time.sleep(1)
    assert "ALSA" not in pane.screen
    pane.tmux("send-keys", "q")
    assert "ALSA lib pcm.c" in pane.wait_for("ended: quit")
    pane.assert_clean()


def test_cancellation_leaves_a_clean_terminal(socket: Path) -> None:
    """A cancelled display puts the terminal back, and stays cancelled for the caller."""
    pane = Pane(socket)
    pane.wait_for("Speech")
    pane.signal("TERM")
    pane.wait_for("ended: cancelled")
    pane.assert_clean()


def test_cancellation_during_start_leaves_a_clean_terminal(socket: Path) -> None:
    """The same while the display is still being built."""
    pane = Pane(socket)
    end = time.monotonic() + PATIENCE
    while pane.tmux("display-message", "-p", "#{alternate_on}").strip() != "1":
        assert time.monotonic() < end, "the display did not start"
    pane.signal("TERM")
    pane.wait_for("ended: cancelled")
    pane.assert_clean()


@pytest.mark.parametrize(("kind", "end"), [("fail", "BrokerError: the broker is gone"), ("crash", "ValueError: a bug")])
def test_a_broken_feed_leaves_a_clean_terminal(socket: Path, kind: str, end: str) -> None:
    """What the feed raises reaches the caller, after the terminal is put back."""
    pane = Pane(socket, kind)
    pane.wait_for("Speech")
    pane.wait_for(f"ended: {end}")
    pane.assert_clean()


def test_a_display_that_fails_leaves_a_clean_terminal(socket: Path) -> None:
    """A bug in the display is loud, with its traceback, after the terminal is put back."""
    pane = Pane(socket, "bug")
    assert "TypeError" in pane.wait_for("ended: RuntimeError: the display failed")
    pane.assert_clean()


@contextmanager
def bare_terminal(folder: Path, kind: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The display in `folder` on a terminal of which we hold the other end; losing it does not kill the program."""
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


def test_a_terminal_that_is_not_read_stalls_nothing(tmp_path: Path) -> None:
    """Where nobody reads the terminal, as behind a stalled connection, the event loop goes on."""
    with bare_terminal(tmp_path, "flood") as (master, _):
        ticks, end = tmp_path / "ticks", time.monotonic() + PATIENCE
        while not ticks.exists() or int(ticks.read_text() or 0) < 200:
            assert time.monotonic() < end, "the event loop stands still"
            time.sleep(0.1)
    os.close(master)


def test_a_terminal_that_goes_away_ends_the_display(tmp_path: Path) -> None:
    """Nobody is left to look at it; the caller goes on."""
    with bare_terminal(tmp_path, "") as (master, program):
        while b"Speech" not in os.read(master, 65536):
            pass
        os.close(master)
        program.wait(PATIENCE)
    assert "ended: quit" in (tmp_path / "nohup.out").read_text()


def test_works_without_colour(socket: Path) -> None:
    """A terminal that knows no colours shows the same words and marks."""
    pane = Pane(socket, term="vt100", columns=80)
    assert "● Dog" in pane.wait_for("Speech")


def test_says_when_there_is_no_terminal(tmp_path: Path) -> None:
    """Without a terminal it says so, instead of a traceback of the toolkit."""
    command = "import asyncio; from tests.tui import show; print(asyncio.run(show.main('')))"
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, start_new_session=True, capture_output=True, text=True, check=True
    )
    assert "UsageError: the display needs a terminal" in done.stdout


def test_loads_no_audio_no_inference_no_broker() -> None:
    """The display can be used where only it and a feed are installed."""
    command = "import sys, monitor.tui.terminal; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"onnxruntime", "sounddevice", "av", "soxr", "aiomqtt"} & set(done.stdout.split())
