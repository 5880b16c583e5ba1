"""The command line: `sound-monitor`, also `python -m monitor`. Commands are imported only when they run."""

import argparse
import errno
import importlib
import io
import os
import sys
from collections.abc import Sequence

from monitor import __version__
from monitor.commands.arguments import listening, models, watching
from monitor.commands.arguments.parser import EXIT, Parser
from monitor.errors import MonitorError, StorageError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    _prepare_streams()
    try:
        try:
            arguments = _parser().parse_args(argv)
            command = importlib.import_module(f"monitor.commands.{arguments.command}")
            return int(command.main(arguments))
        finally:
            sys.stdout.flush()
    except (MonitorError, ExceptionGroup) as raised:
        error = _told(raised)
        print(f"sound-monitor: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _forget_stdout()
        return 141
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
            raise
        _forget_stdout()
        print(f"sound-monitor: cannot write the output: {error.strerror}", file=sys.stderr)  # noqa: T201
        return StorageError.exit_code


def _told(raised: MonitorError | ExceptionGroup[Exception]) -> MonitorError:
    """The first error for the user among those of several tasks; raises them all where one is of another kind."""
    if isinstance(raised, MonitorError):
        return raised
    ours, others = raised.split(MonitorError)
    if ours is None or others is not None:
        raise raised
    return _told(ours.exceptions[0])


def _prepare_streams() -> None:
    """Open what the caller has closed, so that no other file gets its number and what we print; print any name."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _forget_stdout() -> None:
    """Let what is still to be written go nowhere, or Python complains when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> Parser:
    parser = Parser(
        prog="sound-monitor",
        description="Listens all day and tells your home what it hears: sounds in, detections out, over MQTT and on "
        "screen. `sound-monitor COMMAND --help` says more about a command.",
        epilog=EXIT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"sound-monitor {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    listening.add_run(commands)
    listening.add_analyze(commands)
    listening.add_devices(commands)
    models.add_models(commands)
    models.add_bench(commands)
    watching.add_events(commands)
    listening.add_check(commands)
    watching.add_tui(commands)
    watching.add_discovery(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
