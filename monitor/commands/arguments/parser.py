"""What the definitions of all commands share."""

import argparse
import re
from typing import NoReturn, TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[Parser]"
"""What a command is added to."""

EXIT = """\
exit codes: 0 all well, 2 wrong usage, 65 bad model file, 69 source, broker or download unavailable, 74 event log not
  accessible or disk full, 78 wrong configuration, 130 interrupted by Ctrl-C, 141 the reader of the output went away
"""


class Parser(argparse.ArgumentParser):
    """Points to --help, which teaches, instead of repeating the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\nTry '{self.prog} --help'.\n")


def add(commands: Commands, name: str, help_: str, description: str, epilog: str = "") -> Parser:
    """Add a command; its description and epilog are shown as they are written."""
    return commands.add_parser(
        name,
        help=help_,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_config(parser: argparse.ArgumentParser) -> None:
    """-c, for the commands that read the configuration."""
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        help="configuration file, - for standard input; by default ./config.yaml, "
        "~/.config/sound-monitor/config.yaml or /etc/sound-monitor/config.yaml, and without any the defaults",
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """--model, for the commands that run the configured one."""
    parser.add_argument("--model", metavar="NAME|PATH", help="use this model (see `sound-monitor models`)")


def seconds(text: str) -> float:
    """A positive number of seconds."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of seconds")
    return value


def count(text: str) -> int:
    """A whole number from 1."""
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 to 999999999")
    return int(text)
