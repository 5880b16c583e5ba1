"""One monitor owns an event log, by real locks of real processes."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from monitor.errors import InUseError
from monitor.events.owner import owned
from tests.events.test_log import full_disk

HOLD = """
import sys
from pathlib import Path
from monitor.events.owner import owned
with owned(Path(sys.argv[1])):
    print(flush=True)
    input()
"""


@contextmanager
def held(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process owns the log."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, path],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_a_second_owner_is_refused_with_the_first_one(tmp_path: Path) -> None:
    """The error names the process and the time; after its kill, the log is free."""
    path = tmp_path / "state/events.db"
    with held(path) as holder, pytest.raises(InUseError) as caught, owned(path):
        raise AssertionError("both own it")
    text = str(caught.value)
    assert text.startswith(f"another monitor (process {holder.pid}, since ")
    since = datetime.fromisoformat(text.split("since ")[1].split(")")[0]).astimezone()
    assert datetime.now().astimezone() - since < timedelta(minutes=1)
    assert f"uses the event log {path}: " in text
    with owned(path):
        pass


def test_another_log_is_free(tmp_path: Path) -> None:
    """Two monitors with a log each run side by side."""
    with held(tmp_path / "a.db"), owned(tmp_path / "b.db"):
        pass


@pytest.mark.parametrize("content", [b"", b"nonsense", b"x" * 5000])
def test_an_unknown_holder_is_refused_as_well(content: bytes, tmp_path: Path) -> None:
    """Without a readable note the error leaves the process out."""
    path = tmp_path / "events.db"
    with held(path):
        Path(f"{path}.lock").write_bytes(content)
        with pytest.raises(InUseError, match=r"^another monitor uses the event log"), owned(path):
            pass


def test_without_a_lock_file_the_monitor_runs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A folder that cannot be made is no reason to be deaf; the log says what is missing."""
    (tmp_path / "file").touch()
    with owned(tmp_path / "file/events.db"):
        pass
    assert "a second monitor on this event log would not be noticed" in caplog.text


def test_a_full_disk_does_not_prevent_the_lock(tmp_path: Path) -> None:
    """The lock holds without its note."""
    path = tmp_path / "events.db"
    Path(f"{path}.lock").touch()
    with full_disk(), owned(path), pytest.raises(InUseError), owned(path):
        pass
    assert Path(f"{path}.lock").stat().st_size <= 16
