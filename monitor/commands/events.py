"""`events`: detected sounds, from the event log."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from typing import TYPE_CHECKING

import msgspec

from monitor.commands.options import ConfigOptions, configuration, count, option
from monitor.config.paths import recorded_log_path
from monitor.errors import StorageError, UsageError

if TYPE_CHECKING:
    from monitor.commands.output import LinePrinter
    from monitor.events.reader import Query
    from monitor.messages import Detection

NEWEST = 50
"""Events that are shown when neither a number nor a time is given."""
POLL = 0.5
"""Seconds between two looks for new events."""
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(ConfigOptions):
    """Options of `events`."""

    DESCRIPTION = (
        "Shows the sounds in the event log, oldest first, also while the monitor runs. WHEN is a time like\n"
        "2026-05-17T08:30, a day, today, yesterday, or an age: 45s, 30m, 2h, 3d, 1w."
    )
    EPILOG = (
        "examples:\n"
        "  sound-monitor events                                         the newest\n"
        "  sound-monitor events --since yesterday --until today --label Dog\n"
        "  sound-monitor events --since 52w --format csv > year.csv\n"
        "  sound-monitor events --follow --format jsonl | jq .label     each start and each end, when it happens\n"
    )

    since: str | None = option("--since", metavar="WHEN", help="sounds that began then or later")
    until: str | None = option("--until", metavar="WHEN", help="sounds that began earlier")
    label: tuple[str, ...] = option(
        "--label", metavar="SOUND", action="append", default=(), help="this sound; may be given several times"
    )
    source: tuple[str, ...] = option(
        "--source", metavar="NAME", action="append", default=(), help="from this source; may be given several times"
    )
    limit: int | None = option(
        "--limit", metavar="N", type=count, help=f"only the newest N; default: {NEWEST}, with --since or --until all"
    )
    follow: bool = option(
        "--follow", action="store_true", default=False, help="continue with each start and each end, until Ctrl-C"
    )
    format: str = option(
        "--format",
        choices=("table", "jsonl", "csv"),
        default="table",
        help="table and csv have a row for each sound, jsonl a line for its start and one for its end; default: table",
    )


def main(options: Options) -> int:
    """Print the events that are asked for; with `--follow` continue until Ctrl-C. Raises `MonitorError`."""
    from monitor.events.reader import EventReader

    reader = EventReader(recorded_log_path(configuration(options.config)), _query(options))
    newest = options.limit
    if newest is None and options.since is None and options.until is None:
        newest = NEWEST
    each_half = options.follow or options.format == "jsonl"
    printer = _printer(options.format)
    printer.print(reader.recorded(newest) if each_half else reader.joined(newest))
    while options.follow:
        time.sleep(POLL)
        printer.print(reader.recorded())
    printer.finish()
    return 0


def _query(options: Options) -> Query:
    from monitor.events.reader import Query

    now = datetime.now().astimezone()
    try:
        since = parse_when(options.since, now) if options.since else None
        until = parse_when(options.until, now) if options.until else None
    except ValueError as error:
        raise UsageError(str(error)) from error
    if since and until and since >= until:
        raise UsageError("--since is not before --until: there is no time between them")
    return Query(since, until, options.label, options.source)


def parse_when(text: str, now: datetime) -> datetime:
    """The moment that `text` means at `now`, which carries this machine's zone. Raises `ValueError`.

    A number with s, m, h, d or w is an age; a day is its first moment; a time without a zone is local.
    """
    try:
        if match := re.fullmatch(r"(\d+)([smhdw])", text):
            return now - timedelta(**{UNITS[match[2]]: int(match[1])})
        if text == "today":
            return _midnight(now.date())
        if text == "yesterday":
            return _midnight(now.date() - timedelta(days=1))
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise ValueError(
            f"invalid time {text!r}; use 2h, 3d, today, yesterday, 2026-05-17 or 2026-05-17T08:30"
        ) from None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, clock_time()).astimezone()


def _printer(form: str) -> LinePrinter[bytes]:
    """Print events, as JSON, in one of the formats."""
    from monitor.commands.output import LinePrinter, csv_line
    from monitor.messages import Detection

    if form == "table":
        heading = f"{'began':<21} {'lasted':>10}  {'sound':<28} {'source':<16} score  peak"
        return LinePrinter(lambda event: _row(_decode(event)), heading=heading, nothing="no events")
    if form == "jsonl":
        return LinePrinter(lambda event: event.decode(errors="replace"))
    columns = [field for field in Detection.__struct_fields__ if field != "phase"]

    def cells(event: bytes) -> str:
        values = msgspec.to_builtins(_decode(event))
        return csv_line(values[column] for column in columns)

    return LinePrinter(cells, first=csv_line(columns))


def _row(one: Detection) -> str:
    began = one.started_at.astimezone().isoformat(" ", "milliseconds")[:21]
    return f"{began} {_lasted(one):>10}  {one.label:<28} {one.source:<16} {one.score:5.2f} {one.peak:5.2f}"


def _lasted(one: Detection) -> str:
    if one.ended_at is None:
        return "still on"
    minutes, seconds = divmod(round((one.ended_at - one.started_at).total_seconds(), 1), 60)
    return f"{int(minutes)}:{seconds:04.1f}"


def _decode(event: bytes) -> Detection:
    from monitor.messages import Detection

    try:
        return msgspec.json.decode(event, type=Detection)
    except msgspec.MsgspecError as error:
        raise StorageError(f"an event in the log cannot be read ({error}): {event[:80]!r}") from error
