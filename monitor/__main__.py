"""The command line: `sound-monitor`, also `python -m monitor`."""

import errno
import io
import os
import sys
from collections.abc import Sequence

from monitor.commands import command_line
from monitor.errors import MonitorError, StorageError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Errors become one message on stderr."""
    _prepare_streams()
    try:
        try:
            chosen = command_line().parse_args(argv)
            return int(chosen.main(chosen))
        finally:
            sys.stdout.flush()
    except (MonitorError, ExceptionGroup) as raised:
        error = _reported(raised)
        print(f"sound-monitor: {error}", file=sys.stderr)
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
        print(f"sound-monitor: cannot write the output: {error.strerror}", file=sys.stderr)
        return StorageError.exit_code


def _reported(raised: MonitorError | ExceptionGroup[Exception]) -> MonitorError:
    """The first error of several tasks; raises them all again if one of them is not for the user."""
    if isinstance(raised, MonitorError):
        return raised
    ours, others = raised.split(MonitorError)
    if ours is None or others is not None:
        raise raised
    return _reported(ours.exceptions[0])


def _prepare_streams() -> None:
    """Open the standard streams that the caller closed, or another file gets their numbers and our output.

    Characters that stdout cannot encode are replaced.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _forget_stdout() -> None:
    """Discard what is still buffered, which Python would otherwise try to write at exit, and fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
