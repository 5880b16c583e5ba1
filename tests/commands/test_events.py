"""`events`, called as from a shell."""

import asyncio
import csv
import io
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from monitor.__main__ import main
from monitor.commands.events import parse_when
from monitor.events.log import EventLog
from monitor.messages import Detection, Phase
from tests.parts.cli import Program, ended

NOW = datetime.now(UTC).replace(microsecond=250_000)


def sound(number: int, label: str, source: str, ago: timedelta, lasted: timedelta | None) -> list[Detection]:
    """The events of a sound: its start, and its end unless it is still on."""
    start = Detection(
        id=f"id-{number}",
        node="test",
        source=source,
        model="ears",
        label=label,
        phase=Phase.STARTED,
        started_at=NOW - ago,
        score=0.75,
        peak=0.75,
    )
    if lasted is None:
        return [start]
    end = start.started_at + lasted
    return [start, msgspec.structs.replace(start, phase=Phase.ENDED, ended_at=end, peak=0.875)]


SOUNDS = [
    *sound(1, "Dog", "hall", timedelta(days=40), timedelta(seconds=3.5)),
    *sound(2, "Smoke alarm", "kitchen", timedelta(hours=5), timedelta(minutes=3, seconds=59.96)),
    *sound(3, "Dog", "kitchen", timedelta(minutes=10), None),
]


def record(path: Path, events: Sequence[Detection]) -> None:
    """Record events with the monitor's own log."""

    async def record_all() -> None:
        log = EventLog(path, keep_days=365, max_mb=100)
        for event in events:
            assert await log.append(event)
        await log.close()

    asyncio.run(record_all())


@pytest.fixture
def program(program: Program) -> Program:
    """A program with three sounds in its event log."""
    record(program.state / "events.db", SOUNDS)
    return program


def test_a_table_for_people(program: Program) -> None:
    """A table has a row for each sound, with local time and duration."""
    done = program.run("events", TZ="UTC-2")
    assert (done.code, done.err) == (0, "")
    heading, dog, alarm, on = done.out.splitlines()
    assert heading.split() == ["began", "lasted", "sound", "source", "score", "peak"]
    local = f"{NOW - timedelta(days=40) + timedelta(hours=2):%Y-%m-%d %H:%M:%S.2}"
    assert dog == f"{local}     0:03.5  Dog                          hall              0.75  0.88"
    assert alarm[21:].split() == ["4:00.0", "Smoke", "alarm", "kitchen", "0.75", "0.88"]
    assert on[21:].split() == ["still", "on", "Dog", "kitchen", "0.75", "0.75"]


def test_lines_of_json_are_what_was_recorded(program: Program) -> None:
    """JSON has a line for each start and each end, as they were recorded."""
    done = program.run("events", "--format", "jsonl")
    assert [msgspec.json.decode(line, type=Detection) for line in done.out.splitlines()] == SOUNDS


def test_csv(program: Program) -> None:
    """CSV has a row for each sound, with every field."""
    done = program.run("events", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert [row["id"] for row in rows] == ["id-1", "id-2", "id-3"]
    assert list(rows[0]) == [field for field in Detection.__struct_fields__ if field != "phase"]
    assert datetime.fromisoformat(rows[0]["ended_at"]) == SOUNDS[1].ended_at
    assert (rows[2]["ended_at"], rows[2]["score"], rows[2]["label"]) == ("", "0.75", "Dog")


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--since", "2d"], [2, 3]),
        (["--since", "8w", "--until", "1h"], [1, 2]),
        (["--label", "dog"], [1, 3]),
        (["--label", "dog", "--label", "smoke alarm", "--source", "kitchen"], [2, 3]),
        (["--limit", "1"], [3]),
        (["--limit", "1", "--source", "hall"], [1]),
    ],
)
def test_sounds_are_chosen(program: Program, arguments: list[str], found: list[int]) -> None:
    """Sounds are selected by time, label, source and number."""
    done = program.run("events", "--format", "csv", *arguments)
    assert [row["id"] for row in csv.DictReader(io.StringIO(done.out))] == [f"id-{number}" for number in found]


def test_without_options_the_newest_are_shown(program: Program) -> None:
    """Without options the newest 50 are shown; with --since all."""
    many = [event for n in range(100, 160) for event in sound(n, "Cat", "hall", timedelta(0), timedelta(0))]
    record(program.state / "events.db", many)
    done = program.run("events", "--format", "csv")
    assert [row["id"] for row in csv.DictReader(io.StringIO(done.out))] == [f"id-{n}" for n in range(110, 160)]
    assert len(program.run("events", "--format", "csv", "--since", "1d").out.splitlines()) == 63


def test_only_a_table_says_that_there_are_no_events(program: Program) -> None:
    """Only a table says that there are no events; other formats stay empty, except for the heading of CSV."""
    for form, out in (("table", "no events\n"), ("jsonl", ""), ("csv", "id,node,source,model,label,started_at")):
        done = program.run("events", "--label", "Cat", "--format", form)
        assert (done.code, done.out[:37]) == (0, out)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--since", "soon"], "invalid time 'soon'; use 2h, 3d, today, yesterday, 2026-05-17 or"),
        (["--since", "1h", "--until", "2h"], "--since is not before --until: there is no time between them"),
        (["--limit", "0"], "argument --limit: '0' is not a whole number from 1 to 999999999"),
        (["--limit", "10000000000"], "argument --limit: '10000000000' is not a whole number from 1 to 999999999"),
    ],
)
def test_wrong_usage_is_reported(program: Program, arguments: list[str], said: str) -> None:
    """Wrong usage gives exit code 2 and a message."""
    done = program.run("events", *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


def test_a_missing_log_is_reported(program: Program) -> None:
    """A missing event log gives its path and exit code 74."""
    (program.folder / "config.yaml").write_text("events: {path: /nowhere/events.db}")
    done = program.run("events")
    assert (done.code, done.out) == (74, "")
    assert done.err.startswith("sound-monitor: no event log /nowhere/events.db yet: the monitor creates it ")


def test_an_event_that_cannot_be_read_is_reported(program: Program) -> None:
    """An event that cannot be read, perhaps from a newer version, is an error; jsonl still shows it."""
    path = program.state / "events.db"
    subprocess.run(
        ["python3", "-c", "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); "
         "c.execute(\"INSERT INTO events (id, phase, at, detection) VALUES ('x', 'started', 0, '{}')\"); c.commit()",
         str(path)],
        check=True,
    )  # fmt: skip
    done = program.run("events")
    assert done.code == 74
    assert len(done.out.splitlines()) == 4
    assert "an event in the log cannot be read (Object missing required field `id`): b'{}'" in done.err
    assert program.run("events", "--format", "jsonl").out.endswith("\n{}\n")


def test_a_reader_may_close_the_pipe(program: Program) -> None:
    """A reader that closes the pipe gives exit code 141 and nothing on stderr."""
    many = [event for n in range(100, 1600) for event in sound(n, "Cat", "hall", timedelta(0), None)]
    record(program.state / "events.db", many)
    process = program.start("events", "--since", "1d")
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"began")
    process.stdout.close()
    process.stdout = None
    assert process.stderr is not None
    assert (process.wait(60), process.stderr.read()) == (141, b"")
    process.stderr.close()


@pytest.mark.parametrize("form", ["jsonl", "table"])
def test_follow_prints_new_events(program: Program, form: str) -> None:
    """--follow prints each start and each end when it is recorded, until Ctrl-C, which gives exit code 130."""
    process = program.start("events", "--follow", "--limit", "3", "--format", form)
    assert process.stdout is not None

    def label() -> str:
        line = os.fsdecode(process.stdout.readline())  # type: ignore[union-attr]
        return str(json.loads(line)["label"]) if form == "jsonl" else line[34:].split("  ")[0]

    if form == "table":
        assert label() == "sound"
    assert [label(), label(), label()] == ["Smoke alarm", "Smoke alarm", "Dog"]
    start, end = sound(9, "Cat", "hall", timedelta(0), timedelta(seconds=5))
    record(program.state / "events.db", [start])
    assert label() == "Cat"
    record(program.state / "events.db", [end])
    assert label() == "Cat"
    process.send_signal(signal.SIGINT)
    done = ended(process)
    assert (done.code, done.out, done.err) == (130, "", "")


def test_the_log_of_the_service_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a log of their own, users see the log of the service."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "mine"))
    monkeypatch.setattr("monitor.config.paths.SERVICE_LOG", tmp_path / "service/events.db")
    record(tmp_path / "service/events.db", SOUNDS[:1])
    assert main(["events", "--format", "csv"]) == 0
    assert "\nid-1,test,hall" in capsys.readouterr().out
    record(tmp_path / "mine/sound-monitor/events.db", SOUNDS[2:3])
    assert main(["events", "--format", "csv"]) == 0
    assert "\nid-2,test,kitchen" in capsys.readouterr().out


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A zone in which the clocks changed on 29 March 2026."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("45s", "2026-03-30T09:59:15"),
        ("30m", "2026-03-30T09:30:00"),
        ("2h", "2026-03-30T08:00:00"),
        ("3d", "2026-03-27T10:00:00"),
        ("1w", "2026-03-23T10:00:00"),
        ("today", "2026-03-29T22:00:00"),
        ("yesterday", "2026-03-28T23:00:00"),
        ("2026-03-28", "2026-03-27T23:00:00"),
        ("2026-03-30T08:30", "2026-03-30T06:30:00"),
        ("2026-03-30 08:30:15", "2026-03-30T06:30:15"),
        ("2026-03-30T08:30Z", "2026-03-30T08:30:00"),
        ("2026-03-30T08:30-05:00", "2026-03-30T13:30:00"),
    ],
)
@pytest.mark.usefixtures("berlin")
def test_times_are_parsed(text: str, utc: str) -> None:
    """A time without a zone is in the machine's zone; a day begins at its own midnight, also when the clocks change."""
    now = datetime(2026, 3, 30, 10, 0, tzinfo=UTC).astimezone()
    assert parse_when(text, now) == datetime.fromisoformat(f"{utc}+00:00")


@pytest.mark.parametrize("text", ["", "soon", "2", "h", "-2h", "2 h", "2y", "99999999999d", "9999999w", "2026-13-01"])
def test_an_invalid_time_is_refused_with_examples(text: str) -> None:
    """Times before all calendars are refused as well."""
    with pytest.raises(ValueError, match=r"^invalid time .*; use 2h, 3d, today, "):
        parse_when(text, datetime(2026, 3, 30, tzinfo=UTC))
