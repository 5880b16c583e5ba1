"""The command line: help, usage, completion, and how it ends."""

import resource
import shutil
import subprocess
import sys

import pytest

from monitor import __version__
from monitor.commands import COMMANDS
from monitor.commands.models import Options
from tests.parts.cli import Program


def test_help_names_all_commands_and_exit_codes(program: Program) -> None:
    """`--help` lists every command and every exit code, and stderr stays empty."""
    done = program.run("--help")
    assert (done.code, done.err) == (0, "")
    assert all(f"\n    {command}" in done.out for command in COMMANDS)
    assert all(f"{code} " in done.out for code in (65, 69, 74, 75, 78, 130, 141))


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(program: Program, command: str) -> None:
    """`COMMAND --help` works for every command."""
    done = program.run(command, "--help", COLUMNS="80")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"usage: sound-monitor {command} ")


@pytest.mark.parametrize("action", Options.ACTIONS)
def test_each_action_of_models_has_help(program: Program, action: str) -> None:
    """`models ACTION --help` works for every action."""
    done = program.run("models", action, "--help", COLUMNS="80")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"usage: sound-monitor models {action} ")


HEAVY = ("numpy", "onnxruntime", "textual", "torch", "sounddevice", "av", "soxr", "aiomqtt")


@pytest.mark.parametrize(
    "arguments", [[], *([command] for command in COMMANDS), *(["models", action] for action in Options.ACTIONS)]
)
def test_help_loads_nothing_heavy(program: Program, arguments: list[str]) -> None:
    """`--help` imports the parser and the options of one command, and no library that does the work."""
    code = (
        "import sys\nfrom monitor.__main__ import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    print('loaded:', *sys.modules)"
    )
    command = [sys.executable, "-c", code, *arguments, "--help"]
    done = subprocess.run(command, cwd=program.folder, env=program.environment, capture_output=True, check=True)
    loaded = done.stdout.decode().rpartition("loaded: ")[2].split()
    assert "monitor.commands" in loaded
    assert not set(HEAVY) & set(loaded)
    others = {f"monitor.commands.{command}" for command in COMMANDS if command not in arguments}
    assert not others & set(loaded)


def test_help_comes_quickly(program: Program) -> None:
    """Help takes less than half a second of processor time; a busy machine may take longer on the clock."""
    times = []
    for _ in range(3):
        begun = resource.getrusage(resource.RUSAGE_CHILDREN)
        program.run("run", "--help")
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime)
    assert 0 < min(times) < 0.5


def test_without_a_command_it_says_what_to_do_next(program: Program) -> None:
    """The bare program names the first commands to try; that is no error."""
    done = program.run()
    assert (done.code, done.err) == (0, "")
    assert "sound-monitor run " in done.out
    assert "sound-monitor --help" in done.out


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_version(program: Program, flag: str) -> None:
    """The program prints the version of the package."""
    done = program.run(flag)
    assert (done.code, done.out) == (0, f"sound-monitor {__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rnu"], "sound-monitor: unknown command 'rnu'; did you mean 'run'?\nTry 'sound-monitor --help'.\n"),
        (["xxxx"], "sound-monitor: unknown command 'xxxx'; known: run, analyze, devices, "),
        (
            ["models", "pul"],
            "sound-monitor models: unknown action 'pul'; did you mean 'pull'?\nTry 'sound-monitor models ",
        ),
        (["analyze"], "sound-monitor analyze: the following arguments are required: FILE\nTry 'sound-monitor analyze"),
        (
            ["run", "--sorce", "mic"],
            "sound-monitor run: unknown option --sorce; did you mean --source?\nTry 'sound-monitor run --help'.\n",
        ),
        (["run", "--sorce=mic"], "unknown option --sorce; did you mean --source?"),
        (["run", "--qqqq"], "sound-monitor run: unknown option --qqqq\n"),
        (["--sorce", "devices"], "sound-monitor: unknown option --sorce\nTry 'sound-monitor --help'.\n"),
        (["run", "alarm.wav"], "sound-monitor run: unexpected argument 'alarm.wav'\n"),
        (["discovery"], "sound-monitor discovery: the following arguments are required: clear\n"),
        (["discovery", "claer"], "argument clear: invalid choice 'claer'; did you mean 'clear'?"),
        (["run", "--duration", "soon"], "argument --duration: 'soon' is not a positive number of seconds"),
        (["run", "--duration", "-1"], "argument --duration: '-1' is not a positive number of seconds"),
        (["run", "--duration", "nan"], "argument --duration: 'nan' is not a positive number of seconds"),
        (
            ["analyze", "a.wav", "--format", "xml"],
            "--format: invalid choice 'xml'; known: table, jsonl, csv, audacity",
        ),
    ],
)
def test_wrong_usage_is_answered_with_the_nearest(program: Program, arguments: list[str], said: str) -> None:
    """Wrong usage is answered on stderr with the nearest word and the way to --help; the exit code is 2."""
    done = program.run(*arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert "--help'." in done.err


@pytest.mark.parametrize(
    ("shell", "checked"), [("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "--no-execute"])]
)
def test_completion_is_a_script_of_the_shell(program: Program, shell: str, checked: list[str]) -> None:
    """The script names commands and options, and the shell itself, if it is installed, accepts it."""
    done = program.run("completion", shell)
    assert (done.code, done.err) == (0, "")
    assert all(word in done.out for word in ("analyze", "pull", "source"))
    (program.folder / "script").write_text(done.out)
    if shutil.which(shell):
        subprocess.run([*checked, "script"], cwd=program.folder, check=True)


def test_a_closed_pipe_is_no_failure(program: Program) -> None:
    """A closed pipe on stdout gives exit code 141 and nothing on stderr."""
    process = program.start("models", "--labels", "lean-int8", stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (141, b"")


def test_a_command_that_only_reads_needs_no_home(program: Program) -> None:
    """A command that only reads works without a home directory."""
    assert program.run("models", HOME="/nonexistent").code == 0


def test_the_configuration_is_found(program: Program) -> None:
    """The working directory goes before the user's folder, and -c before both."""
    home = program.folder / "home/.config/sound-monitor/config.yaml"
    home.parent.mkdir(parents=True)
    home.write_text("home: 1")
    assert "home/.config/sound-monitor/config.yaml:1: home: unknown key" in program.run("check").err
    (program.folder / "config.yaml").write_text("here: 1")
    assert program.run("check").err.startswith("sound-monitor: config.yaml:1: here: unknown key")
    (program.folder / "other.yaml").write_text("other: 1")
    assert program.run("check", "-c", "other.yaml").err.startswith("sound-monitor: other.yaml:1: other: unknown key")
