"""`bench`: what the models cost on this machine."""

import contextlib
import sys
from argparse import Namespace

import msgspec

from monitor.classify.open import find_model, model_files
from monitor.commands.bench.figures import Loaded
from monitor.commands.bench.machine import Pulse, describe
from monitor.commands.bench.report import print_report
from monitor.commands.bench.rounds import measure
from monitor.commands.bench.worker import Worker
from monitor.commands.common import configuration
from monitor.commands.progress import working
from monitor.config.schema import Config
from monitor.errors import ModelError


def main(arguments: Namespace) -> int:
    """Print the tables, or JSON; the exit code is 65 where a model could not be loaded."""
    config = _configured(arguments)
    paths = [find_model(name) for name in arguments.models] or model_files()
    pulse = Pulse()
    refused: list[ModelError] = []
    with contextlib.ExitStack() as stack:
        say = stack.enter_context(working("starting"))
        workers: list[tuple[Loaded, Worker]] = []
        for path in paths:
            say(f"{path.stem}: loading")
            worker = stack.enter_context(Worker(msgspec.structs.replace(config.model, name=str(path))))
            try:
                workers.append((worker.load(), worker))
            except ModelError as error:
                refused.append(error)

        def between(what: str) -> None:
            say(what)
            pulse.beat()

        hop, threads, batch = config.model.hop, config.model.threads, config.model.batch
        figures = measure(workers, arguments.seconds, hop, threads, batch, between)
    for refusal in refused:
        print(f"sound-monitor: {refusal}", file=sys.stderr)  # noqa: T201
    if figures:
        print_report(describe(pulse, threads, hop, batch), figures, as_json=arguments.json)
    return ModelError.exit_code if refused or not figures else 0


def _configured(arguments: Namespace) -> Config:
    config = configuration(arguments)
    chosen = {key: getattr(arguments, key) for key in ("provider", "threads", "hop") if getattr(arguments, key)}
    return msgspec.structs.replace(config, model=msgspec.structs.replace(config.model, **chosen))
