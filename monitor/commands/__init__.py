"""The commands of the command line, a module each, and the parser that imports the module of the chosen command."""

import argparse
import importlib
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeAlias

from monitor import __version__
from monitor.errors import nearest, suggestion

CommandTable: TypeAlias = Mapping[str, tuple[str, str]]
"""By a command's name: the module with its `Options` and its `main`, and one line of help."""

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
   75  event log in use by another monitor
   78  invalid configuration
  130  interrupted by Ctrl-C
  141  the reader of the output is gone
"""


class Parser(argparse.ArgumentParser):
    """A parser that defines its options from `module` when it is first used, so that `--help` imports nothing else.

    A parsed namespace has only the options that were given, and `main`, which runs the chosen command.
    """

    def __init__(self, *, module: str = "", summary: str = "", **details: Any) -> None:
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter, argument_default=argparse.SUPPRESS, **details
        )
        self._module = module
        self.summary = summary
        """One line of help, for completion."""
        self.commands: dict[str, Parser] = {}

    def add_commands(self, dest: str, table: CommandTable) -> None:
        """Add a parser for each command of the table; none is imported yet."""
        group = self.add_subparsers(title=f"{dest}s", dest=dest, metavar=dest.upper())
        for name, (module, summary) in table.items():
            self.commands[name] = group.add_parser(name, help=summary, summary=summary, module=module)

    def define(self) -> None:
        """Import the module, once, and add its description, its options and its own commands."""
        module, self._module = self._module, ""
        if module:
            command = importlib.import_module(module)
            command.Options.define(self)
            self.set_defaults(main=lambda chosen: command.main(command.Options.of(chosen)))

    def define_all(self) -> None:
        """Define this parser and all below it, as completion needs them."""
        self.define()
        for parser in self.commands.values():
            parser.define_all()

    def parse_known_args(self, *args: Any, **details: Any) -> Any:
        """Parse, and exit with code 2 for an option or argument that is unknown to this command."""
        self.define()
        chosen, unknown = super().parse_known_args(*args, **details)
        if unknown:
            self.error(self._refusal(unknown))
        return chosen, unknown

    def error(self, message: str) -> NoReturn:
        """Exit with code 2; --help explains more than the usage line that argparse repeats."""
        self.exit(2, f"{self.prog}: {message}\nTry '{self.prog} --help'.\n")

    def _refusal(self, unknown: Sequence[str]) -> str:
        option = next((word.partition("=")[0] for word in unknown if word.startswith("-")), None)
        if option is None:
            return f"unexpected argument {unknown[0]!r}"
        near = nearest(option, self._option_string_actions)
        return f"unknown option {option}" + (f"; did you mean {near}?" if near else "")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse a word that is not among the choices, with the nearest one."""
        if action.choices is None or value in action.choices:
            return
        advice = suggestion(str(value), map(str, action.choices))
        if isinstance(action, argparse._SubParsersAction):
            raise argparse.ArgumentError(None, f"unknown {action.dest} {value!r}; {advice}")
        raise argparse.ArgumentError(action, f"invalid choice {value!r}; {advice}")


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
