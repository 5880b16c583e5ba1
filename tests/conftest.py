"""Fixtures that tests of several parts share, and which tests are left out."""

import signal
import subprocess
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.parts import left_out
from tests.parts.cli import Program

hypothesis.settings.register_profile("busy", deadline=None)  # how long an example takes is the machine's matter
hypothesis.settings.load_profile("busy")

ABSENT = pytest.StashKey[frozenset[str]]()
"""The packages of the zoo and of training that are missing, or left out on request."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--light`, which script/test gives."""
    parser.addoption(
        "--light", action="store_true", help="leave out the tests of zoo and training, as if torch were missing"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Look once for the packages; and let the programs that tests start hear Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job, and what it starts in turn
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.stash[ABSENT] = left_out.PACKAGES if config.getoption("--light") else left_out.missing()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse a file that is named and cannot be imported; pytest ignores only what it finds itself."""
    for path in _paths(session.config):
        if left_out.needs(path, session.config.stash[ABSENT]):
            raise pytest.UsageError(f"{path} needs the packages of zoo and training: script/test --all {path}")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Pass over files and folders that cannot be imported without the absent packages."""
    return left_out.needs(collection_path, config.stash[ABSENT]) or None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> Generator[None, None, None]:
    """Say what was left out, below all else."""
    yield
    tests, files = left_out.count(_paths(config), config.stash[ABSENT])
    if tests:
        terminalreporter.write_line(
            f"left out: {tests} test functions in {files} files of zoo and training; script/test --all runs them"
        )


def _paths(config: pytest.Config) -> list[Path]:
    """The files and folders to test."""
    return [Path(config.invocation_params.dir, argument.split("::")[0]) for argument in config.args]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The command line in an empty home."""
    return Program(tmp_path)


@pytest.fixture
def tmux_socket(tmp_path: Path) -> Iterator[Path]:
    """The socket of a tmux server for one test."""
    path = tmp_path / "tmux"
    yield path
    subprocess.run(["tmux", "-S", str(path), "kill-server"], check=False, capture_output=True)
