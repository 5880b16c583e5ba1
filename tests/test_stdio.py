"""Standard output and error: lines to a pipe whose reader may stall or close, and descriptor 2."""

import fcntl
import logging
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from monitor.errors import StorageError
from monitor.stdio import LineOutlet, OutletHandler, stderr_aside


@dataclass
class Pipe:
    """Two file descriptors."""

    reader: int
    writer: int

    def read_all(self) -> list[str]:
        """Return every line until the writing end is closed."""
        with os.fdopen(os.dup(self.reader), encoding="utf-8") as file:
            return file.read().splitlines()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Make a pipe that holds 4 KiB, and close both ends after the test."""
    pipe = Pipe(*os.pipe())
    fcntl.fcntl(pipe.writer, fcntl.F_SETPIPE_SZ, 4096)
    yield pipe
    for descriptor in (pipe.reader, pipe.writer):
        try:
            os.close(descriptor)
        except OSError:
            continue


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until the condition holds; fail after 10 s."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_lines_come_out_whole_and_in_order(pipe: Pipe) -> None:
    """A reader that keeps up gets every line, in order."""
    outlet = LineOutlet(pipe.writer)
    for number in range(5000):
        outlet.write(f"line {number} ä")
    reader = threading.Thread(target=lambda: got.extend(pipe.read_all()))
    got: list[str] = []
    reader.start()
    outlet.flush(10)
    os.close(pipe.writer)
    reader.join(10)
    assert got == [f"line {number} ä" for number in range(5000)]
    assert (outlet.dropped, outlet.broken) == (0, False)


def test_a_stalled_reader_blocks_no_writer(pipe: Pipe) -> None:
    """A full queue drops and counts its oldest lines; every line is either written, queued or dropped."""
    outlet = LineOutlet(pipe.writer, capacity=10)
    done = threading.Event()

    def write() -> None:
        for number in range(1000):
            outlet.write(f"{number:1000}")
        done.set()

    threading.Thread(target=write, daemon=True).start()
    assert done.wait(10)
    assert outlet.flush(0.05) > outlet.dropped > 800
    assert not outlet.broken
    reader = threading.Thread(target=lambda: got.extend(pipe.read_all()))
    got: list[str] = []
    reader.start()
    outlet.flush(10)
    os.close(pipe.writer)
    reader.join(10)
    numbers = [int(line) for line in got]
    assert numbers == sorted(numbers)
    assert numbers[-10:] == list(range(990, 1000))
    assert len(numbers) + outlet.dropped == 1000


def test_a_closed_reader_is_reported(pipe: Pipe) -> None:
    """A closed reader sets `broken` and causes one call; later lines raise nothing."""
    calls: list[str] = []
    outlet = LineOutlet(pipe.writer, capacity=5, on_broken=lambda: calls.append("broken"))
    os.close(pipe.reader)
    outlet.write("one")
    wait_for(lambda: calls)
    for number in range(100):
        outlet.write(str(number))
    outlet.flush(10)  # returns at once: the thread has ended
    assert outlet.broken
    assert calls == ["broken"]


def test_a_full_disk_drops_lines(tmp_path: Path) -> None:
    """Lines that do not fit on the disk are dropped and counted; later ones are written."""
    path = tmp_path / "lines"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    outlet = LineOutlet(descriptor)
    outlet.write("before")
    outlet.flush(10)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (7, hard))  # no file can grow beyond its first bytes
    try:
        outlet.write("during")
        wait_for(lambda: outlet.dropped)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    outlet.write("after")
    assert outlet.flush(10) == 1
    os.close(descriptor)
    assert path.read_text() == "before\nafter\n"
    assert (outlet.dropped, outlet.broken) == (1, False)


def test_a_non_blocking_descriptor_loses_no_line(pipe: Pipe) -> None:
    """A parent process may pass on such a descriptor; the outlet waits for it."""
    os.set_blocking(pipe.writer, False)
    outlet = LineOutlet(pipe.writer)
    for number in range(300):
        outlet.write(f"{number:1000}")
    outlet.flush(0.1)
    reader = threading.Thread(target=lambda: got.extend(pipe.read_all()))
    got: list[str] = []
    reader.start()
    outlet.flush(10)
    os.close(pipe.writer)
    reader.join(10)
    assert [int(line) for line in got] == list(range(300))
    assert (outlet.dropped, outlet.broken) == (0, False)


def test_log_records_go_through_an_outlet(pipe: Pipe) -> None:
    """Records are formatted, one per line; one that cannot be formatted raises nothing."""
    outlet = LineOutlet(pipe.writer)
    logger = logging.Logger("test")
    handler = OutletHandler(outlet)
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logger.addHandler(handler)
    logger.warning("the %s is deaf", "kitchen")
    logging.raiseExceptions, before = False, logging.raiseExceptions
    logger.warning("%d", "not a number")
    logging.raiseExceptions = before
    logger.warning("done")
    outlet.flush(10)
    os.close(pipe.writer)
    assert pipe.read_all() == ["WARNING: the kitchen is deaf", "WARNING: done"]


def test_a_log_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """A folder in place of the log file raises a `StorageError`."""
    with pytest.raises(StorageError, match=f"cannot write the log {tmp_path}"), stderr_aside(tmp_path):
        pytest.fail("entered")
