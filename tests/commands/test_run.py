"""`run`, from its start to each way in which it ends."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.parts.broker import Broker
from tests.parts.cli import Ended, Program, ended
from tests.parts.slow_model import write_slow_model
from tests.parts.sounds import bursts, room, write_wav


def said(process: subprocess.Popen[bytes], text: str) -> None:
    """Wait until the program prints this text on stderr."""
    assert process.stderr is not None
    heard = b""
    while text.encode() not in heard:
        line = process.stderr.readline()
        assert line, f"ended without saying {text!r}:\n{heard.decode()}"
        heard += line


def await_busy(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait until the program has used so many seconds of processor time more."""

    def used() -> float:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    end = used() + seconds
    while used() < end:
        assert process.poll() is None, "ended before it was busy"
        time.sleep(0.05)


def detections(done: Ended) -> list[dict[str, Any]]:
    """The detections that it printed on stdout."""
    return [json.loads(line) for line in done.out.splitlines()]


def test_a_file_is_analysed_to_its_end(program: Program) -> None:
    """A sound gives a line of JSON for its start and its end, and both are in the event log; the exit code is 0."""
    done = program.run("run", "--source", "burst.wav", "--json")
    assert done.code == 0
    started, stopped = detections(done)
    assert (started["phase"], stopped["phase"]) == ("started", "ended")
    assert (started["node"], started["source"], started["label"]) == ("test", "burst", "Loud")
    assert started["id"] == stopped["id"]
    lasted = datetime.fromisoformat(stopped["ended_at"]) - datetime.fromisoformat(stopped["started_at"])
    assert lasted.total_seconds() == pytest.approx(0.6, abs=0.5)
    with closing(sqlite3.connect(program.state / "events.db")) as log:
        stored = [json.loads(row) for (row,) in log.execute("SELECT detection FROM events ORDER BY sequence")]
    assert stored == [started, stopped]


def test_what_it_writes_is_private(program: Program) -> None:
    """Others may read no file and enter no folder that it creates, whatever the umask; a readable password warns."""
    (program.folder / "config.yaml").write_text("mqtt: {host: 127.0.0.1, port: 9, username: me, password: hidden}\n")
    (program.folder / "config.yaml").chmod(0o644)
    done = program.run("run", "-c", "config.yaml", "--source", "burst.wav", "--no-tui")
    assert "every user of this machine can read the password in config.yaml: run chmod o= config.yaml" in done.err
    assert "hidden" not in done.err
    modes = {file.name: file.stat().st_mode & 0o777 for file in (program.state, *program.state.iterdir())}
    assert modes[program.state.name] == 0o750
    assert modes["events.db"] == 0o640
    assert not any(mode & 0o027 for mode in modes.values())


def test_raw_samples_come_through_a_pipe(program: Program) -> None:
    """Raw samples from a pipe are read as fast as they arrive, and none is lost."""
    samples = (32767 * bursts(20, 5.0, 15.0)).astype("<i2").tobytes()
    done = program.run("run", "--source", "pcm:-", "--json", given=samples)
    assert done.code == 0
    assert [detection["phase"] for detection in detections(done)] == ["started", "ended"] * 2
    times = [datetime.fromisoformat(d["started_at"]) for d in detections(done) if d["phase"] == "started"]
    assert (times[1] - times[0]).total_seconds() == pytest.approx(10.0, abs=0.1)


def test_a_missing_file_is_an_error(program: Program) -> None:
    """A missing file gives exit code 69 and an error, without the summary of the run."""
    done = program.run("run", "--source", "none.wav", "--json")
    assert (done.code, done.out) == (69, "")
    assert done.err.endswith("sound-monitor: none.wav: No such file or directory\n")
    assert "inference p50" not in done.err


def test_a_missing_file_does_not_stop_the_others(program: Program) -> None:
    """Other sources are processed to their end, and their detections are printed, before the error."""
    done = program.run("run", "--source", "none.wav", "--source", "pcm:burst.pcm", "--json")
    assert done.code == 69
    assert len(detections(done)) == 2


@pytest.mark.real
def test_a_name_that_is_not_utf8_goes_over_mqtt(program: Program, tmp_path: Path) -> None:
    """A file name that is not UTF-8 is published with replacement characters."""
    with (program.folder / "config.yaml").open("a") as config:
        (tmp_path / "broker").mkdir()
        broker = Broker(tmp_path / "broker")
        config.write(f"mqtt: {{host: 127.0.0.1, port: {broker.port}}}\n")
    name = os.fsdecode(b"caf\xe9.wav")
    write_wav(program.folder / name, room(1))
    with broker:
        done = program.run("run", "--source", name, "--no-tui")
    assert done.code == 0
    assert "connected to the MQTT broker" in done.err


@pytest.mark.parametrize("command", ["run", "analyze"])
def test_the_home_of_an_unknown_user_stays_in_the_path(program: Program, command: str) -> None:
    """`~` of an unknown user is left in the path as it is."""
    for source in ("~nobody-of-this-name/x.wav", "pcm:~nobody-of-this-name/x.pcm"):
        arguments = ("run", "--source", source) if command == "run" else ("analyze", source)
        done = program.run(*arguments)
        assert done.code == 69
        assert "No such file or directory" in done.err


def test_an_invalid_source_is_refused(program: Program) -> None:
    """An invalid source is refused with the forms that a source can have."""
    done = program.run("run", "--source", "mick")
    assert (done.code, done.out) == (78, "")
    assert done.err.startswith("sound-monitor: 'mick' is not a source; did you mean 'mic'?")
    assert "a source (SPEC) is one of\n  mic " in done.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_ends_it_in_order(program: Program, number: signal.Signals, code: int) -> None:
    """A signal ends the sound that is on; the exit code is 130 after Ctrl-C, and 0 after SIGTERM."""
    write_wav(program.folder / "alarm.wav", bursts(60, 0.5, length=59))
    process = program.start("run", "--source", "alarm.wav", "--json")
    said(process, "Loud started")
    process.send_signal(number)
    done = ended(process)
    assert done.code == code
    assert [detection["phase"] for detection in detections(done)] == ["started", "ended"]


def test_a_second_ctrl_c_interrupts_what_hangs(program: Program) -> None:
    """A second Ctrl-C interrupts an inference that takes minutes."""
    write_slow_model(program.models / "slow.onnx")
    write_wav(program.folder / "loud.wav", 2 * bursts(60, 0.5, length=59))
    process = program.start("run", "--source", "loud.wav", "--model", "slow", "--no-tui")
    said(process, "listening to")
    await_busy(process, seconds=1.5)  # its inference has begun
    process.send_signal(signal.SIGINT)
    said(process, "SIGINT: shutting down")
    time.sleep(0.6)  # sooner it would count as the same Ctrl-C
    process.send_signal(signal.SIGINT)
    done = ended(process)
    assert done.code == 130
    assert "shutdown cut short" in done.err


def test_a_ctrl_c_that_arrives_twice_counts_once(program: Program) -> None:
    """A Ctrl-C that a parent passes on again counts once: the program ends in order."""
    process = program.start("run", "--source", "burst.wav", "--loop", "--no-tui")
    said(process, "listening to")
    process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    done = ended(process)
    assert done.code == 130
    assert "shutdown cut short" not in done.err


def test_a_closed_pipe_ends_it(program: Program) -> None:
    """A closed pipe on stdout ends the program at the next line, with exit code 141."""
    process = program.start("run", "--source", "burst.wav", "--loop", "--json")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["phase"] == "started"
    process.stdout.close()
    process.stdout = None
    done = ended(process)
    assert done.code == 141


def test_a_stuck_reader_delays_nothing(program: Program) -> None:
    """With a stuck reader the monitor ends on time, and logs how many lines are missing."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    done = ended(program.start("run", "--source", "burst.wav", "--loop", "--json", "--duration", "4", stdout=writer))
    os.close(reader)
    os.close(writer)
    assert done.code == 0
    assert "Loud ended" in done.err
    assert " lines are missing on stdout: its reader is too slow, or its disk full" in done.err


def test_the_live_view_requires_a_terminal(program: Program) -> None:
    """--tui without a terminal is an error of one line."""
    done = program.run("run", "--source", "burst.wav", "--loop", "--tui")
    assert done.code == 2
    assert done.err.splitlines()[-1].startswith("sound-monitor: the display requires a terminal")


def test_it_ends_after_its_duration(program: Program) -> None:
    """--duration ends the program although a file loops."""
    write_wav(program.folder / "room.wav", room(1))
    begun = time.monotonic()
    done = program.run("run", "--source", "room.wav", "--loop", "--duration", "2", "--no-tui")
    assert (done.code, done.out) == (0, "")
    assert time.monotonic() - begun >= 2


def test_no_file_gets_the_number_of_a_closed_stdout(program: Program) -> None:
    """The event log stays intact when the caller closed all three standard streams."""
    command = f'"{sys.executable}" -m monitor run --source pcm:burst.pcm --json >&- 2>&- <&-'
    assert subprocess.run(["sh", "-c", command], cwd=program.folder, env=program.environment).returncode == 0
    with closing(sqlite3.connect(program.state / "events.db")) as log:
        assert log.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert log.execute("SELECT count(*) FROM events").fetchone() == (2,)


def test_a_damaged_event_log_is_kept_aside(program: Program) -> None:
    """A damaged event log is renamed with a warning, and a new one has the events of this run."""
    program.state.mkdir(parents=True)
    (program.state / "events.db").write_bytes(b"no database" * 1000)
    done = program.run("run", "--source", "pcm:burst.pcm", "--no-tui")
    assert done.code == 0
    assert "events.db is damaged (file is not a database): moved to" in done.err
    assert len(list(program.state.glob("events.db.damaged-*"))) == 1
