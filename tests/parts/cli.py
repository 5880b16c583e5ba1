"""Run the program as a user does, in a separate home directory."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BUNDLED = ("convnext", "convnext-int8", "lean", "lean-int8")
"""Bundled models."""
TIMEOUT = 60.0
"""Seconds after which a program that has not ended is killed, and the test fails."""


@dataclass(frozen=True)
class Ended:
    """How the program ended."""

    code: int
    out: str
    err: str


class Program:
    """The command line, with `folder` as its working directory and its home below that."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.models = folder / "home/.local/share/sound-monitor/models"
        """The folder of the user's models."""
        self.state = folder / "home/.local/state/sound-monitor"
        """The folder of the event log."""
        self.models.mkdir(parents=True)
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "PULSE_"))}
        self.environment = {
            **ours,
            "HOME": str(folder / "home"),
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "",  # buffered, as a user has it
            "COLUMNS": "200",
            "NO_COLOR": "1",
        }

    def start(
        self,
        *arguments: str,
        stdin: Any = subprocess.DEVNULL,
        stdout: Any = subprocess.PIPE,
        stderr: Any = subprocess.PIPE,
        **environment: str,
    ) -> subprocess.Popen[bytes]:
        """Start a command without waiting for it."""
        return subprocess.Popen(
            [sys.executable, "-m", "monitor", *arguments],
            cwd=self.folder,
            env=self.environment | environment,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            bufsize=0,  # what is read a line at a time is not taken from `communicate`
        )

    def run(self, *arguments: str, given: bytes = b"", **environment: str) -> Ended:
        """Run a command to its end, with `given` on its stdin. A traceback on stderr fails the test."""
        return ended(self.start(*arguments, stdin=subprocess.PIPE, **environment), given)


def ended(process: subprocess.Popen[bytes], given: bytes | None = None) -> Ended:
    """Wait for a program to end; return its exit code and remaining output."""
    try:
        out, err = process.communicate(given, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"did not end; it said:\n{err.decode()}") from None
    text = (err or b"").decode()
    assert "Traceback" not in text, text
    return Ended(process.returncode, (out or b"").decode(), text)
