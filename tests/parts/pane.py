"""A program on a real terminal, in tmux."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0
"""Seconds until a test fails; far more than necessary."""

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


class Pane:
    """One program on a terminal of its own."""

    def __init__(
        self,
        socket: Path,
        *arguments: str,
        module: str = "tests.tui.show",
        term: str = "tmux-256color",
        columns: int = 100,
        rows: int = 30,
    ) -> None:
        """Run the module with these arguments; the last line on the terminal then has its exit code."""
        self._socket = socket
        program = f"{sys.executable} -m {module} {shlex.join(arguments)} & echo $! > {socket}.pid; fg; echo code: $?"
        shell = f"set -m; export TERM={term}; {program}; exec sleep 1000"
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", f"{columns}", "-y", f"{rows}", "sh", "-c", shell)

    def tmux(self, *arguments: str) -> str:
        """Run a tmux command against this pane's own server."""
        command = ["tmux", "-S", str(self._socket), *arguments]
        ours = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        environment = ours | {"LC_ALL": "C.UTF-8"}  # the size is the pane's; pytest-xdist sets its own
        return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout

    @property
    def screen(self) -> str:
        """The text on the terminal."""
        return self.tmux("capture-pane", "-p")

    def wait_for(self, text: str) -> str:
        """The screen as soon as it contains the text."""
        end = time.monotonic() + PATIENCE
        while text not in (screen := self.screen):
            assert time.monotonic() < end, f"{text!r} did not appear:\n{screen}"
            time.sleep(0.1)
        return screen

    def signal(self, name: str) -> None:
        """Send a signal to the program."""
        os.kill(int(Path(f"{self._socket}.pid").read_text()), signal.Signals[f"SIG{name}"])

    def assert_clean(self) -> None:
        """Assert that the terminal is ready for a shell."""
        flags = self.tmux("display-message", "-p", "#{alternate_on} #{cursor_flag} #{mouse_any_flag}")
        assert flags.split() == ["0", "1", "0"], "alternate screen off, cursor on, mouse off"
        settings = subprocess.run(
            ["stty", "-F", self.tmux("display-message", "-p", "#{pane_tty}").strip(), "-a"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        assert {"echo", "icanon", "isig"} <= set(settings)
