"""Options as records, and the configuration with the options laid over it."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from monitor.commands import Parser, command_line
from monitor.commands.analyze import Options
from monitor.commands.options import CommandOptions, configuration, count, option
from monitor.config.schema import Config
from monitor.errors import UsageError
from tests.parts.cli import Program


@dataclass(frozen=True, kw_only=True, slots=True)
class Example(CommandOptions):
    """Options of each kind."""

    DESCRIPTION = "An example."

    files: tuple[str, ...] = option(nargs="*", default=("default.wav",))
    label: tuple[str, ...] = option("--label", action="append", default=())
    number: int = option("-n", "--number", type=count, default=5)
    json: bool = option("--json", action="store_true", default=False)


def parsed(*arguments: str) -> Example:
    """The options that these arguments give."""
    parser = Parser(prog="example")
    Example.define(parser)
    return Example.of(parser.parse_args(arguments))


def test_options_that_are_not_given_have_the_defaults_of_the_record() -> None:
    """The defaults are in one place, the record."""
    assert parsed() == Example() == Example(files=("default.wav",), label=(), number=5, json=False)


def test_options_have_the_types_of_the_record() -> None:
    """Several values are a tuple, numbers are converted."""
    given = parsed("a.wav", "b.wav", "--label", "Dog", "--label", "Cat", "-n", "7", "--json")
    assert given == Example(files=("a.wav", "b.wav"), label=("Dog", "Cat"), number=7, json=True)


def test_every_option_of_every_command_is_in_its_record() -> None:
    """All commands define their options without a conflict, and each has a description."""
    parser = command_line()
    parser.define_all()
    commands = [parser, *parser.commands.values(), *parser.commands["models"].commands.values()]
    assert len(commands) > 15
    assert all(command.description for command in commands)


def test_a_parsed_command_line_runs_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """`main` of the namespace calls the command's `main` with its options."""
    called: list[Options] = []

    def main(options: Options) -> int:
        called.append(options)
        return 3

    monkeypatch.setattr("monitor.commands.analyze.main", main)
    chosen = command_line().parse_args(["analyze", "a.wav", "--format", "csv", "--model", "lean"])
    assert chosen.main(chosen) == 3
    assert called == [Options(files=("a.wav",), format="csv", model="lean")]


def test_options_replace_the_configuration(tmp_path: Path) -> None:
    """The model and the sources on the command line come before those of the file."""
    path = tmp_path / "my.yaml"
    path.write_text("node: here\nmodel: {name: a, hop: 0.5}\nsources: [{input: mic}]")
    config = configuration(str(path), model="b", sources=("x.wav", "demo"), loop=True)
    assert (config.node, config.model.name, config.model.hop) == ("here", "b", 0.5)
    assert [(source.input, source.loop) for source in config.sources] == [("x.wav", True), ("demo", True)]


def test_without_a_file_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration file is needed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert configuration(None) == Config()


def test_an_invalid_source_on_the_command_line_is_a_usage_error() -> None:
    """A variable in a URL is not replaced, and the error says so."""
    with pytest.raises(UsageError, match=r"--source: variables such as \{PASSWORD\} are not replaced"):
        configuration("/dev/null", sources=("rtsp://me:{PASSWORD}@camera/",))


def test_an_invalid_broker_on_the_command_line_is_a_usage_error(program: Program) -> None:
    """`tui --host` takes a host without a port."""
    done = program.run("tui", "--host", "127.0.0.1:1883")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("sound-monitor: --host: host '127.0.0.1:1883' must be a name or an address")
