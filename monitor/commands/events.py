"""`events`: what was heard, from the event log."""

import csv
import os
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TextIO

import msgspec

from monitor.commands.common import configuration
from monitor.commands.when import parse_when
from monitor.config.paths import event_log_path
from monitor.config.schema import Config
from monitor.errors import StorageError, UsageError
from monitor.events.reader import EventReader, Query
from monitor.messages import Detection

NEWEST = 50
"""Events that are shown when neither a number nor a time is asked for."""
POLL = 0.5
"""Seconds between two looks for new events."""
SERVICE_LOG = Path("/var/lib/sound-monitor/events.db")
"""Where the system service keeps its log."""

_decoder = msgspec.json.Decoder(Detection)


def main(arguments: Namespace) -> int:
    """Print the events that are asked for; with `--follow` go on until Ctrl-C. Raises `MonitorError`."""
    reader = EventReader(_path(configuration(arguments)), _query(arguments))
    newest = arguments.limit
    if newest is None and arguments.since is None and arguments.until is None:
        newest = NEWEST
    each_half = arguments.follow or arguments.format == "jsonl"
    printer = Printer(arguments.format, sys.stdout)
    printer.print(reader.recorded(newest) if each_half else reader.joined(newest))
    while arguments.follow:
        time.sleep(POLL)
        printer.print(reader.recorded())
    printer.finish()
    return 0


def _path(config: Config) -> Path:
    """This user's log; where there is none and none is configured, that of the service."""
    path = event_log_path(config)
    return path if os.access(path, os.F_OK) or config.events.path or not SERVICE_LOG.parent.exists() else SERVICE_LOG


def _query(arguments: Namespace) -> Query:
    now = datetime.now().astimezone()
    try:
        since = parse_when(arguments.since, now) if arguments.since else None
        until = parse_when(arguments.until, now) if arguments.until else None
    except ValueError as error:
        raise UsageError(str(error)) from error
    if since and until and since >= until:
        raise UsageError("--since is not before --until: there is no time between them")
    return Query(since, until, tuple(arguments.label), tuple(arguments.source))


class Printer:
    """Writes events, as JSON, in one of the formats; each line as soon as it is known."""

    def __init__(self, form: str, out: TextIO) -> None:
        self._out = out
        self._form = form
        self._csv = csv.writer(out, lineterminator="\n")
        self._columns = [field for field in Detection.__struct_fields__ if field != "phase"]
        forms: dict[str, Callable[[bytes], object]] = {"table": self._row, "jsonl": self._json, "csv": self._cells}
        self._write = forms[form]
        self._empty = True
        if form == "csv":
            self._csv.writerow(self._columns)

    def print(self, events: Iterator[bytes]) -> None:
        """Write them all."""
        for event in events:
            if self._empty and self._form == "table":
                self._out.write(f"{'began':<21} {'lasted':>10}  {'sound':<28} {'source':<16} score  peak\n")
            self._empty = False
            self._write(event)
        self._out.flush()

    def finish(self) -> None:
        """Say so when there was nothing, to a person."""
        if self._form == "table" and self._empty:
            self._out.write("no events\n")

    def _row(self, event: bytes) -> None:
        one = _decode(event)
        began = one.started_at.astimezone().isoformat(" ", "milliseconds")[:21]
        scores = f"{one.score:5.2f} {one.peak:5.2f}"
        self._out.write(f"{began} {_lasted(one):>10}  {one.label:<28} {one.source:<16} {scores}\n")

    def _json(self, event: bytes) -> None:
        self._out.write(event.decode(errors="replace") + "\n")

    def _cells(self, event: bytes) -> None:
        values = msgspec.to_builtins(_decode(event))
        self._csv.writerow([values[column] for column in self._columns])


def _lasted(one: Detection) -> str:
    if one.ended_at is None:
        return "still on"
    minutes, seconds = divmod(round((one.ended_at - one.started_at).total_seconds(), 1), 60)
    return f"{int(minutes)}:{seconds:04.1f}"


def _decode(event: bytes) -> Detection:
    try:
        return _decoder.decode(event)
    except msgspec.MsgspecError as error:
        raise StorageError(f"an event in the log cannot be understood ({error}): {event[:80]!r}") from error
