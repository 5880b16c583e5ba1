"""`bench`: measure what the models cost on this machine."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from monitor.commands.options import ConfigOptions, configuration, count, option, seconds
from monitor.errors import ModelError

if TYPE_CHECKING:
    from monitor.commands.bench.process import ModelProcess
    from monitor.commands.bench.rounds import Loaded
    from monitor.config.schema import Config


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(ConfigOptions):
    """Options of `bench`."""

    DESCRIPTION = (
        "Measures each available model, or those that are named: how long it takes to load and\n"
        "to answer, how much memory it needs, how much batches help, and how many streams one\n"
        "core can process at the configured hop. The models take turns, so that a machine\n"
        "that slows down slows down all of them."
    )
    EPILOG = (
        "examples:\n"
        "  sound-monitor bench                                    all available models\n"
        "  sound-monitor bench convnext-tiny convnext-tiny-int8   side by side\n"
        "  sound-monitor bench --seconds 30 --json > bench.json\n"
    )

    models: tuple[str, ...] = option(
        metavar="MODEL", nargs="*", default=(), help="names or paths; default: all available models"
    )
    provider: str | None = option(
        "--provider", choices=("auto", "cpu", "cuda", "tensorrt", "openvino"), help="default: as configured"
    )
    threads: int | None = option(
        "--threads", metavar="N", type=count, help="threads of one inference; default: as configured"
    )
    hop: float | None = option(
        "--hop", metavar="S", type=seconds, help="seconds between two windows; default: as configured"
    )
    seconds: float = option(
        "--seconds", metavar="S", type=seconds, default=10.0, help="time for each model; default: 10"
    )
    json: bool = option("--json", action="store_true", default=False, help="print all figures as JSON")


def main(options: Options) -> int:
    """Print the tables, or JSON; the exit code is 65 if a model could not be loaded."""
    from monitor.classify.open import find_model, model_files
    from monitor.commands.bench.process import ModelProcess
    from monitor.commands.bench.report import Pulse, describe_machine, print_report
    from monitor.commands.bench.rounds import measure
    from monitor.commands.output import print_error, working

    config = _configured(options)
    paths = [find_model(name) for name in options.models] or model_files()
    pulse = Pulse()
    refused: list[ModelError] = []
    with contextlib.ExitStack() as stack:
        say = stack.enter_context(working("starting"))
        processes: list[tuple[Loaded, ModelProcess]] = []
        for path in paths:
            say(f"{path.stem}: loading")
            process = stack.enter_context(ModelProcess(msgspec.structs.replace(config.model, name=str(path))))
            try:
                processes.append((process.load(), process))
            except ModelError as error:
                refused.append(error)

        def between(what: str) -> None:
            say(what)
            pulse.beat()

        hop, threads, batch = config.model.hop, config.model.threads, config.model.batch
        figures = measure(processes, options.seconds, hop, threads, batch, between)
    for refusal in refused:
        print_error(refusal)
    if figures:
        print_report(describe_machine(pulse, threads, hop, batch), figures, as_json=options.json)
    return ModelError.exit_code if refused or not figures else 0


def _configured(options: Options) -> Config:
    config = configuration(options.config)
    chosen = {"provider": options.provider, "threads": options.threads, "hop": options.hop}
    given = {key: value for key, value in chosen.items() if value is not None}
    return msgspec.structs.replace(config, model=msgspec.structs.replace(config.model, **given))
