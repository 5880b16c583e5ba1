"""`completion`: print a script with which a shell completes commands, options and files."""

from dataclasses import dataclass

from monitor.commands import Parser, command_line
from monitor.commands.options import CommandOptions, option

SHELLS = ("bash", "zsh", "fish")
FILES = {"FILE", "AUDIO", "OUT.onnx", "NAME|PATH", "MODEL"}
"""Metavars of values that are, or may be, paths of files."""
FOLDERS = {"DIR"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(CommandOptions):
    """Options of `completion`."""

    DESCRIPTION = "Prints a script for the shell, which then completes commands, options and files with Tab."
    EPILOG = (
        "install it once, and open a new shell:\n"
        "  bash   sound-monitor completion bash > ~/.local/share/bash-completion/completions/sound-monitor\n"
        "  zsh    sound-monitor completion zsh > ~/.zfunc/_sound-monitor\n"
        "         and in ~/.zshrc, before compinit: fpath+=~/.zfunc\n"
        "  fish   sound-monitor completion fish > ~/.config/fish/completions/sound-monitor.fish\n"
        "create the folder first if it is missing. Repeat it after an update.\n"
    )

    shell: str = option(metavar="SHELL", choices=SHELLS, help=f"one of {', '.join(SHELLS)}")


def main(options: Options) -> int:
    """Print the script, made from the options of all commands."""
    import shtab

    parser = command_line()
    parser.define_all()
    _prepare(parser, shtab.FILE, shtab.DIRECTORY)
    print(shtab.complete(parser, shell=options.shell))
    return 0


def _prepare(parser: Parser, file: object, folder: object) -> None:
    """Mark the values that are paths, and describe each command in one line, in the way that shtab expects."""
    parser.description = parser.summary
    for action in parser._actions:
        if action.metavar in FILES and not action.choices:
            vars(action)["complete"] = file
        elif action.metavar in FOLDERS:
            vars(action)["complete"] = folder
    for command in parser.commands.values():
        _prepare(command, file, folder)
