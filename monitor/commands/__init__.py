"""The commands of the command line, a module each, which is imported when its command is chosen."""

import argparse

from monitor import __version__
from monitor.commands.parser import CommandTable, Parser

COMMANDS: CommandTable = {
    "run": ("monitor.commands.run", "listen, and report the sounds that are detected"),
    "analyze": ("monitor.commands.analyze", "find the sounds in audio files"),
    "devices": ("monitor.commands.devices", "list the available microphones"),
    "models": ("monitor.commands.models", "list the available models, get others, test them"),
    "bench": ("monitor.commands.bench", "measure the models on this machine"),
    "events": ("monitor.commands.events", "show detected sounds from the event log"),
    "check": ("monitor.commands.check", "test configuration, sources, model and broker"),
    "tui": ("monitor.commands.tui", "watch a running monitor over MQTT"),
    "discovery": ("monitor.commands.discovery", "remove a monitor from Home Assistant"),
    "completion": ("monitor.commands.completion", "print a script that completes commands in a shell"),
}

WELCOME = """\
sound-monitor listens to a room and reports the sounds it detects, such as a smoke alarm or breaking glass.

  sound-monitor run                   listen to the default microphone now; Ctrl-C or q ends it
  sound-monitor run --source demo     see a demonstration, without a microphone
  sound-monitor analyze night.flac    find the sounds in a recording
  sound-monitor check                 test the configuration, the sources, the model and the broker
  sound-monitor models                list the models

`sound-monitor --help` lists all commands, `sound-monitor COMMAND --help` explains one.
README.md and docs/ in the source explain the rest.
"""

EXIT_CODES = """\
exit codes:
    0  success
    2  invalid usage
   65  invalid model file
   69  source, broker or download unavailable
   74  event log not accessible, or disk full
   78  invalid configuration
  130  interrupted by Ctrl-C
  141  the reader of the output is gone
"""


def command_line() -> Parser:
    """The parser of the whole command line. No command's module is imported before its command is chosen."""
    parser = Parser(
        prog="sound-monitor",
        description="Detects sounds around the clock and reports them over MQTT and on screen.\n"
        "`sound-monitor COMMAND --help` explains a command.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("-V", "--version", action="version", version=f"sound-monitor {__version__}")
    parser.set_defaults(main=_welcome)
    parser.add_commands("command", COMMANDS)
    return parser


def _welcome(_: argparse.Namespace) -> int:
    """Say what to do next. Not an error: nothing was asked for, and nothing failed."""
    print(WELCOME, end="")
    return 0
