"""The command line itself."""

import resource
import subprocess

import pytest

from monitor import __version__
from tests.parts.cli import Program

COMMANDS = ("run", "analyze", "devices", "models", "bench", "events", "check", "tui", "discovery")


def test_help_names_all_commands_and_exit_codes(program: Program) -> None:
    """And nothing is said on stderr."""
    done = program.run("--help")
    assert (done.code, done.err) == (0, "")
    assert all(f"\n    {command}" in done.out for command in COMMANDS)
    assert all(f"{code} " in done.out for code in (65, 69, 74, 78, 130, 141))


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(program: Program, command: str) -> None:
    """Whatever state the machine is in; its lines fit a terminal."""
    done = program.run(command, "--help", COLUMNS="80")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"usage: sound-monitor {command} ")


@pytest.mark.parametrize("action", ["list", "info", "pull", "import", "export", "quantize", "verify"])
def test_each_action_of_models_has_help(program: Program, action: str) -> None:
    """What it does, as the others."""
    done = program.run("models", action, "--help", COLUMNS="80")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"usage: sound-monitor models {action} ")


def test_help_comes_quickly(program: Program) -> None:
    """No command is loaded for it. In processor time: a busy machine may take any."""
    times = []
    for _ in range(3):
        begun = resource.getrusage(resource.RUSAGE_CHILDREN)
        program.run("run", "--help")
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime)
    assert 0 < min(times) < 1.0


def test_version(program: Program) -> None:
    """That of the package."""
    done = program.run("--version")
    assert (done.code, done.out) == (0, f"sound-monitor {__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "sound-monitor: the following arguments are required: COMMAND\nTry 'sound-monitor --help'.\n"),
        (["analyze"], "sound-monitor analyze: the following arguments are required: FILE\nTry 'sound-monitor analyze"),
        (["listen"], "sound-monitor: argument COMMAND: invalid choice: 'listen' (choose from "),
        (["run", "--sauce", "mic"], "unrecognized arguments: --sauce mic"),
        (["run", "--duration", "soon"], "argument --duration: soon is not a positive number of seconds"),
        (["run", "--duration", "-1"], "argument --duration: -1 is not a positive number of seconds"),
        (["run", "--duration", "nan"], "argument --duration: nan is not a positive number of seconds"),
        (["analyze", "a.wav", "--format", "xml"], "argument --format: invalid choice: 'xml'"),
    ],
)
def test_wrong_usage_is_said(program: Program, arguments: list[str], said: str) -> None:
    """On stderr, with where help is; exit code 2."""
    done = program.run(*arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert "--help'." in done.err


def test_a_reader_that_has_left_is_no_failure_of_ours(program: Program) -> None:
    """Exit code 141, and nothing on stderr."""
    process = program.start("models", "--labels", "lean-int8", stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (141, b"")


def test_no_home_folder_is_needed_for_help(program: Program) -> None:
    """Nor a writable one for a command that only reads."""
    assert program.run("models", HOME="/nonexistent").code == 0


def test_the_configuration_is_found(program: Program) -> None:
    """In the working directory, else in the user's; the one that is named goes before both."""
    home = program.folder / "home/.config/sound-monitor/config.yaml"
    home.parent.mkdir(parents=True)
    home.write_text("home: 1")
    assert "home/.config/sound-monitor/config.yaml:1: home: unknown key" in program.run("check").err
    (program.folder / "config.yaml").write_text("here: 1")
    assert program.run("check").err.startswith("sound-monitor: config.yaml:1: here: unknown key")
    (program.folder / "other.yaml").write_text("other: 1")
    assert program.run("check", "-c", "other.yaml").err.startswith("sound-monitor: other.yaml:1: other: unknown key")
