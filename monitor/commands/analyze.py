"""`analyze`: find the sounds in files."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from monitor.commands.options import ModelOptions, channel, configuration, count, gain, option
from monitor.errors import MonitorError, SourceError, StorageError, UsageError
from monitor.files import written_whole

if TYPE_CHECKING:
    from monitor.commands.output import LinePrinter
    from monitor.config.schema import Channel, Config, Decibels
    from monitor.offline import FileScores, Found


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(ModelOptions):
    """Options of `analyze`."""

    DESCRIPTION = "Runs the live pipeline over files, as fast as the machine can."
    EPILOG = (
        "examples:\n"
        "  sound-monitor analyze night.flac\n"
        "  sound-monitor analyze *.wav --format jsonl > detections.jsonl\n"
        "  sound-monitor analyze night.flac --format audacity > labels.txt   (File > Import > Labels)\n"
        "  sound-monitor analyze night.flac --scores scores/                 scores/night.npz: times, probabilities\n"
    )

    files: tuple[str, ...] = option(
        metavar="FILE",
        nargs="+",
        help="audio file of any common format; - for standard input, pcm:PATH[@RATE[xCHANNELS]] for raw samples",
    )
    format: str = option(
        "--format", choices=("table", "jsonl", "csv", "audacity"), default="table", help="default: table"
    )
    track: int | None = option(
        "--track",
        metavar="N",
        type=count,
        help="audio track of a file with several, from 1; default: the file's own",
    )
    channel: Channel = option(  # noqa: RUF009 - describes an option, and is no default
        "--channel",
        metavar="NAME|N",
        type=channel,
        default="mix",
        help="mix (default), left, right, loudest, or the number of a channel, from 1",
    )
    gain: Decibels = option(  # noqa: RUF009 - describes an option, and is no default
        "--gain", metavar="DB|auto", type=gain, default=0.0, help="decibels by which to amplify, or auto; default: 0"
    )
    scores: str | None = option(
        "--scores",
        metavar="DIR",
        help="also write DIR/<file stem>.npz: times float64[n] (window ends, s), probabilities float32[n, classes], "
        "embeddings float32[n, dims] if the model has them, labels",
    )


def main(options: Options) -> int:
    """Analyse all files. What cannot be read of them is reported and skipped, and makes the exit code 69."""
    from monitor.commands.output import log_to_stderr

    config = configuration(options.config, model=options.model)
    folder = Path(options.scores) if options.scores else None
    if folder is not None:
        _prepare(folder, options.files)
    logs = log_to_stderr(config.logging.level)
    try:
        return asyncio.run(_analyze_all(config, options, folder))
    finally:
        logs.flush(2.0)


async def _analyze_all(config: Config, options: Options, folder: Path | None) -> int:
    from rich.progress import TaskProgressColumn

    from monitor.classify.classifier import Classifier
    from monitor.classify.open import open_model
    from monitor.commands.output import print_error, progress_bar
    from monitor.detect.rules import resolve
    from monitor.offline import Listening, analyze

    files, listen = options.files, Listening(options.track, options.channel, options.gain)
    threads = max(config.model.threads, os.cpu_count() or 1)
    model = open_model(msgspec.structs.replace(config.model, threads=threads))
    card, hop = model.card, config.model.hop
    rules = resolve(config.detection, card.labels, card.window / card.sample_rate, hop)
    classifier = Classifier(model, config.model.batch)
    printer = _printer(options.format)
    failed: list[MonitorError] = []
    partial: list[MonitorError] = []
    try:
        for number, file in enumerate(files, 1):
            try:
                with progress_bar(f"{number}/{len(files)} {Path(file).name}", TaskProgressColumn()) as progress:
                    analysis = await analyze(
                        file, classifier, rules, hop, progress, keep_scores=folder is not None, listen=listen
                    )
            except SourceError as error:
                failed.append(error)
                print_error(error)
                continue
            if analysis.failure is not None:
                partial.append(analysis.failure)
                print_error(analysis.failure)
            if folder is not None and analysis.scores is not None:
                _save(folder / f"{Path(file).stem}.npz", analysis.scores, card.labels)
            printer.print(analysis.found)
    finally:
        classifier.close()
    if len(failed) < len(files):
        printer.finish()
    if (failed or partial) and len(files) > 1:
        unread, cut = len(failed), len(partial)
        print_error(f"{len(files)} files: {unread} could not be read, {cut} only in part")
    return (failed + partial)[0].exit_code if failed or partial else 0


def _prepare(folder: Path, files: Sequence[str]) -> None:
    """Create the folder; refuse files whose scores would overwrite each other's."""
    stems: dict[str, str] = {}
    for file in files:
        other = stems.setdefault(Path(file).stem, file)
        if other != file:
            raise UsageError(
                f"{other} and {file} would both be saved as {Path(file).stem}.npz; analyse them separately"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot create folder {folder}: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StorageError(f"cannot write into folder {folder}: permission denied")


def _save(path: Path, scores: FileScores, labels: Sequence[str]) -> None:
    """Write one file's scores, whole or not at all."""
    import numpy as np

    arrays = {"times": scores.times, "probabilities": scores.probabilities, "labels": np.array(labels)}
    if scores.embeddings is not None:
        arrays["embeddings"] = scores.embeddings
    try:
        with written_whole(path) as part:
            np.savez_compressed(part, **arrays)  # type: ignore[arg-type]
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error


def _printer(form: str) -> LinePrinter[Found]:
    """Print sounds in one of the formats."""
    from monitor.commands.output import LinePrinter, csv_line
    from monitor.offline import Found

    match form:
        case "table":
            heading = f"{'start':>9} {'end':>9}  {'label':<28} {'score':>5} {'peak':>5}  file"
            return LinePrinter(_row, heading=heading, nothing="nothing detected")
        case "csv":
            return LinePrinter(
                lambda one: csv_line(msgspec.structs.astuple(one)), first=csv_line(Found.__struct_fields__)
            )
        case "audacity":
            return LinePrinter(lambda one: f"{one.start:.6f}\t{one.end:.6f}\t{one.label}")
    return LinePrinter(lambda one: msgspec.json.encode(one).decode())


def _row(one: Found) -> str:
    times = f"{_clock(one.start):>9} {_clock(one.end):>9}"
    return f"{times}  {one.label:<28} {one.score:5.2f} {one.peak:5.2f}  {one.file}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}:{rest:05.2f}"
