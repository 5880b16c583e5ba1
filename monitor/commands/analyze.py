"""`analyze`: find the sounds in files."""

import asyncio
import csv
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TextIO

import msgspec
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from monitor.classify.classifier import Classifier
from monitor.classify.open import open_model
from monitor.commands.common import configuration, log_to_stderr
from monitor.config.schema import Config
from monitor.detect.rules import resolve
from monitor.errors import MonitorError, SourceError, StorageError, UsageError
from monitor.files import written_whole
from monitor.offline import FileScores, Found, analyze


def main(arguments: Namespace) -> int:
    """Analyse all files; a file that cannot be read is said and skipped, and makes the exit code 69."""
    config = configuration(arguments)
    folder = Path(arguments.scores) if arguments.scores else None
    if folder is not None:
        _prepare(folder, arguments.files)
    logs = log_to_stderr(config.logging.level)
    try:
        return asyncio.run(_analyze_all(config, arguments.files, arguments.format, folder))
    finally:
        logs.flush(2.0)


async def _analyze_all(config: Config, files: Sequence[str], form: str, folder: Path | None) -> int:
    threads = max(config.model.threads, os.cpu_count() or 1)
    model = open_model(msgspec.structs.replace(config.model, threads=threads))
    card, hop = model.card, config.model.hop
    rules = resolve(config.detection.rules, card.labels, card.window / card.sample_rate, hop)
    classifier = Classifier(model, config.model.batch)
    printer = Printer(form, sys.stdout)
    failed: list[MonitorError] = []
    try:
        for number, file in enumerate(files, 1):
            try:
                with _progress() as bar:
                    progress = partial(_advance, bar, bar.add_task(f"{number}/{len(files)} {Path(file).name}"))
                    analysis = await analyze(file, classifier, rules, hop, progress, keep_scores=folder is not None)
            except SourceError as error:
                failed.append(error)
                print(f"sound-monitor: {error}", file=sys.stderr)  # noqa: T201
                continue
            if folder is not None and analysis.scores is not None:
                _save(folder / f"{Path(file).stem}.npz", analysis.scores, card.labels)
            printer.print(analysis.found)
    finally:
        classifier.close()
    if len(failed) < len(files):
        printer.finish()
    return failed[0].exit_code if failed else 0


def _advance(bar: Progress, task: TaskID, done: float, total: float | None) -> None:
    bar.update(task, completed=done, total=total)


def _progress() -> Progress:
    """A bar on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _prepare(folder: Path, files: Sequence[str]) -> None:
    """Make the folder; refuse files whose scores would overwrite one another's."""
    stems: dict[str, str] = {}
    for file in files:
        other = stems.setdefault(Path(file).stem, file)
        if other != file:
            raise UsageError(f"{other} and {file} would both be saved as {Path(file).stem}.npz; analyse them apart")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make folder {folder}: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StorageError(f"cannot write into folder {folder}: permission denied")


def _save(path: Path, scores: FileScores, labels: Sequence[str]) -> None:
    """Write one file's scores, whole or not at all."""
    arrays = {"times": scores.times, "probabilities": scores.probabilities, "labels": np.array(labels)}
    if scores.embeddings is not None:
        arrays["embeddings"] = scores.embeddings
    try:
        with written_whole(path) as part:
            np.savez_compressed(part, **arrays)  # type: ignore[arg-type]
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error


class Printer:
    """Writes what was found in one of the formats, file by file."""

    def __init__(self, form: str, out: TextIO) -> None:
        self._out = out
        self._form = form
        self._csv = csv.writer(out, lineterminator="\n")
        forms: dict[str, Callable[[Found], None]] = {
            "table": self._row,
            "jsonl": self._json,
            "csv": self._cells,
            "audacity": self._label,
        }
        self._write = forms[form]
        self._empty = True
        if form == "csv":
            self._csv.writerow(Found.__struct_fields__)

    def print(self, found: Sequence[Found]) -> None:
        """The detections of one file."""
        for one in found:
            if self._empty and self._form == "table":
                self._out.write(f"{'start':>9} {'end':>9}  {'label':<28} {'score':>5} {'peak':>5}  file\n")
            self._empty = False
            self._write(one)
        self._out.flush()

    def finish(self) -> None:
        """Say so when there was nothing, to a person."""
        if self._form == "table" and self._empty:
            self._out.write("nothing detected\n")

    def _row(self, one: Found) -> None:
        times = f"{_clock(one.start):>9} {_clock(one.end):>9}"
        self._out.write(f"{times}  {one.label:<28} {one.score:5.2f} {one.peak:5.2f}  {one.file}\n")

    def _json(self, one: Found) -> None:
        self._out.write(msgspec.json.encode(one).decode() + "\n")

    def _cells(self, one: Found) -> None:
        self._csv.writerow(msgspec.structs.astuple(one))

    def _label(self, one: Found) -> None:
        self._out.write(f"{one.start:.6f}\t{one.end:.6f}\t{one.label}\n")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}:{rest:05.2f}"
