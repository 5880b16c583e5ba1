"""The error tree: every failure that a user can do something about, with the exit code of the program.

A message says what is wrong and what to do about it; the command line prints it without a traceback.
"""

from collections.abc import Iterable


class MonitorError(Exception):
    """Base of all errors that the user gets as one plain message."""

    exit_code = 1


class UsageError(MonitorError):
    """The command line is invalid."""

    exit_code = 2


class ConfigError(MonitorError):
    """The configuration is invalid; the message names the place in the file."""

    exit_code = 78  # EX_CONFIG


class SourceError(MonitorError):
    """An audio source cannot be opened, or is lost."""

    exit_code = 69  # EX_UNAVAILABLE


class ModelError(MonitorError):
    """A model file is missing, damaged, or lacks its description."""

    exit_code = 65  # EX_DATAERR


class BrokerError(MonitorError):
    """The MQTT broker cannot be reached, or refuses the connection."""

    exit_code = 69  # EX_UNAVAILABLE


class DownloadError(MonitorError):
    """A file cannot be downloaded."""

    exit_code = 69  # EX_UNAVAILABLE


class InUseError(MonitorError):
    """Another monitor uses the same event log."""

    exit_code = 75  # EX_TEMPFAIL


class StorageError(MonitorError):
    """The event log or a file cannot be opened or written."""

    exit_code = 74  # EX_IOERR


def nearest(word: str, known: Iterable[str], cutoff: float = 0.5) -> str | None:
    """The known word that is most like `word`; None if none has a likeness of at least `cutoff`, in [0, 1]."""
    import difflib  # only errors need it

    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)), None)


def suggestion(word: str, known: Iterable[str], cutoff: float = 0.5) -> str:
    """The end of a message about an unknown word: the nearest known one, or all known ones.

    `cutoff` as for `nearest`.
    """
    names = list(known)
    near = nearest(word, names, cutoff)
    return f"did you mean {near!r}?" if near else f"known: {', '.join(names) or 'none'}"
