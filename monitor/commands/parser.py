"""The argument parser: it imports a command's module when the command is chosen, and answers a mistake with the nearest
word."""

import argparse
import importlib
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeAlias

from monitor.errors import nearest, suggestion

CommandTable: TypeAlias = Mapping[str, tuple[str, str]]
"""By a command's name: the module with its `Options` and its `main`, and one line of help."""


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
