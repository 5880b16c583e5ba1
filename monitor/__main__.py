"""The command line: `sound-monitor`, also `python -m monitor`. Commands are imported only when they run."""

import argparse
import errno
import importlib
import io
import os
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from monitor import __version__
from monitor.audio.forms import FORMS
from monitor.errors import MonitorError, StorageError

EXIT = """\
exit codes: 0 all well, 2 wrong usage, 65 bad model file, 69 source or broker unavailable, 74 event log not accessible,
  78 wrong configuration, 130 interrupted by Ctrl-C, 141 the reader of the output went away
"""


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


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="sound-monitor",
        description="Listens all day and tells your home what it hears: sounds in, detections out, over MQTT and on "
        "screen. `sound-monitor COMMAND --help` says more about a command.",
        epilog=EXIT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"sound-monitor {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    _add_run(commands)
    _add_analyze(commands)
    _add(commands, "devices", "list the microphones that there are", "Lists input devices; `*` marks the default one.")
    models = _add(
        commands, "models", "list the models at hand", "Lists the models that came with the program and your own."
    )
    models.add_argument("--labels", metavar="NAME", help="print the classes of this model, one a line")
    _add_events(commands)
    check = _add(
        commands,
        "check",
        "test configuration, sources, model and broker",
        "Validates the configuration, opens each source for a second, runs the model, connects to the broker, and says "
        "what to do about what fails. Exit code 0 only if all holds.",
    )
    _add_config(check)
    check.add_argument("--source", metavar="SPEC", action="append", help="test this source instead of the configured")
    tui = _add(
        commands,
        "tui",
        "watch a running monitor over MQTT",
        "Shows what a running monitor hears, from any machine that reaches its broker.",
    )
    _add_config(tui)
    tui.add_argument("--host", help="the broker, instead of the configured one")
    tui.add_argument("--node", help="watch the monitor of this name; by default the first that answers")
    _add_discovery(commands)
    return parser


def _add_discovery(commands: "argparse._SubParsersAction[_Parser]") -> None:
    discovery = _add(
        commands,
        "discovery",
        "take a monitor back from Home Assistant",
        "A monitor with a broker announces itself to Home Assistant. This takes it back.",
    )
    actions = discovery.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=_Parser)
    clear = _add(
        actions,
        "clear",
        "remove the device and all that is retained",
        "Removes the monitor's device from Home Assistant, and everything that the broker retains of it. Stop the "
        "monitor first: it announces itself again whenever it connects.",
        epilog="examples:\n"
        "  sound-monitor discovery clear                    this box, at the configured broker\n"
        "  sound-monitor discovery clear --node old-name    a box that was renamed, or is gone\n",
    )
    _add_config(clear)
    clear.add_argument("--node", help="the monitor of this name instead of the configured one")


def _add_run(commands: "argparse._SubParsersAction[_Parser]") -> None:
    run = _add(
        commands,
        "run",
        "listen, and tell what is heard",
        "Listens to the configured sources until Ctrl-C. On a terminal it shows a live view.",
        epilog=f"sources (SPEC), of which several run at once:\n{FORMS}\n\n"
        "examples:\n"
        "  sound-monitor run                              the default microphone, or the demonstration\n"
        "  sound-monitor run --source mic:USB --json      one JSON line a detection, for a script\n"
        "  sound-monitor run -c config.yaml --no-tui      as a service does it\n\n" + EXIT,
    )
    _add_config(run)
    _add_model(run)
    run.add_argument("--source", metavar="SPEC", action="append", help="listen to this; may be given several times")
    run.add_argument("--loop", action="store_true", help="repeat files for ever")
    run.add_argument("--tui", action=argparse.BooleanOptionalAction, help="show the live view (default: on a terminal)")
    run.add_argument("--json", action="store_true", help="print each detection as one JSON line")
    run.add_argument("--duration", metavar="S", type=_seconds, help="end after so many seconds")


def _add_analyze(commands: "argparse._SubParsersAction[_Parser]") -> None:
    analyze = _add(
        commands,
        "analyze",
        "find the sounds in audio files",
        "Runs the live pipeline over files, as fast as it goes.",
        epilog="examples:\n"
        "  sound-monitor analyze night.flac\n"
        "  sound-monitor analyze *.wav --format jsonl > detections.jsonl\n"
        "  sound-monitor analyze night.flac --format audacity > labels.txt   (File > Import > Labels)\n"
        "  sound-monitor analyze night.flac --scores scores/                 scores/night.npz: times, probabilities\n",
    )
    analyze.add_argument("files", metavar="FILE", nargs="+", help="audio files of any common format")
    analyze.add_argument(
        "--format", choices=("table", "jsonl", "csv", "audacity"), default="table", help="default: table"
    )
    analyze.add_argument(
        "--scores",
        metavar="DIR",
        help="also write DIR/<file stem>.npz: times float64[n] (window ends, s), probabilities float32[n, classes], "
        "embeddings float32[n, dims] where the model has them, labels",
    )
    _add_config(analyze)
    _add_model(analyze)


def _add_events(commands: "argparse._SubParsersAction[_Parser]") -> None:
    events = _add(
        commands,
        "events",
        "show what was heard, from the event log",
        "Shows the sounds in the event log, oldest first, also while the monitor runs. WHEN is a time like\n"
        "2026-05-17T08:30, a day, today, yesterday, or a while ago: 45s, 30m, 2h, 3d, 1w.",
        epilog="examples:\n"
        "  sound-monitor events                                         the newest\n"
        "  sound-monitor events --since yesterday --until today --label Dog\n"
        "  sound-monitor events --since 52w --format csv > year.csv\n"
        "  sound-monitor events --follow --format jsonl | jq .label     each start and each end, as it comes\n",
    )
    events.add_argument("--since", metavar="WHEN", help="sounds that began then or later")
    events.add_argument("--until", metavar="WHEN", help="sounds that began earlier")
    events.add_argument(
        "--label", metavar="SOUND", action="append", default=[], help="this sound; may be given several times"
    )
    events.add_argument(
        "--source", metavar="NAME", action="append", default=[], help="from this source; may be given several times"
    )
    events.add_argument(
        "--limit", metavar="N", type=_count, help="only the newest N; default: 50, with --since or --until all"
    )
    events.add_argument("--follow", action="store_true", help="go on with each start and each end, until Ctrl-C")
    events.add_argument(
        "--format",
        choices=("table", "jsonl", "csv"),
        default="table",
        help="table and csv have a row a sound, jsonl a line for its start and one for its end; default: table",
    )
    _add_config(events)


def _add(
    commands: "argparse._SubParsersAction[_Parser]", name: str, help_: str, description: str, epilog: str = ""
) -> "_Parser":
    return commands.add_parser(
        name,
        help=help_,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        help="configuration file, - for standard input; by default ./config.yaml, "
        "~/.config/sound-monitor/config.yaml or /etc/sound-monitor/config.yaml, and without any the defaults",
    )


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="NAME|PATH", help="use this model (see `sound-monitor models`)")


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of seconds")
    return value


def _count(text: str) -> int:
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 to 999999999")
    return int(text)


class _Parser(argparse.ArgumentParser):
    """Points to --help, which teaches, instead of repeating the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\nTry '{self.prog} --help'.\n")


if __name__ == "__main__":
    sys.exit(main())
