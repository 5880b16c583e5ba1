"""What `run`, `analyze` and `check` take: the commands that hear something."""

import argparse

from monitor.audio.spec import FORMS
from monitor.commands.arguments.parser import EXIT, Commands, add, add_config, add_model, seconds


def add_run(commands: Commands) -> None:
    """`run`."""
    run = add(
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
    add_config(run)
    add_model(run)
    run.add_argument("--source", metavar="SPEC", action="append", help="listen to this; may be given several times")
    run.add_argument("--loop", action="store_true", help="repeat files for ever")
    run.add_argument("--tui", action=argparse.BooleanOptionalAction, help="show the live view (default: on a terminal)")
    run.add_argument("--json", action="store_true", help="print each detection as one JSON line")
    run.add_argument("--duration", metavar="S", type=seconds, help="end after so many seconds")


def add_analyze(commands: Commands) -> None:
    """`analyze`."""
    analyze = add(
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
    add_config(analyze)
    add_model(analyze)


def add_check(commands: Commands) -> None:
    """`check`."""
    check = add(
        commands,
        "check",
        "test configuration, sources, model and broker",
        "Validates the configuration, opens each source for a second, runs the model, connects to the broker, and says "
        "what to do about what fails. Exit code 0 only if all holds.",
    )
    add_config(check)
    check.add_argument("--source", metavar="SPEC", action="append", help="test this source instead of the configured")


def add_devices(commands: Commands) -> None:
    """`devices`."""
    add(commands, "devices", "list the microphones that there are", "Lists input devices; `*` marks the default one.")
