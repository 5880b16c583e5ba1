"""`check`: a finding for each part, and what to do about a failure."""

from pathlib import Path

import pytest

from tests.parts.broker import Broker
from tests.parts.cli import Ended, Program
from tests.parts.sounds import room, write_wav
from tests.parts.tiny_model import write_tiny_model

GOOD = """
node: test
sources: [{{input: burst.wav, loop: true, name: room}}]
model: {{name: {model}}}
detection: {{rules: [{{label: {label}}}]}}
mqtt: {{{mqtt}}}
"""


def checked(program: Program, *, model: str = "tiny", label: str = "Loud", mqtt: str = "") -> Ended:
    """Check a configuration that differs from a good one only in these values."""
    (program.folder / "config.yaml").write_text(GOOD.format(model=model, label=label, mqtt=mqtt))
    return program.run("check")


def findings(done: Ended) -> dict[str, str]:
    """The rows of failures, by their part."""
    rows = [line for line in done.out.splitlines() if line.startswith("✗")]
    return {line[3:].split("  ")[0]: line[3:].partition("  ")[2].strip() for line in rows}


@pytest.mark.real
def test_all_is_well(program: Program, tmp_path: Path) -> None:
    """Each part has a row with what was found, and the exit code is 0."""
    (tmp_path / "broker").mkdir()
    with Broker(tmp_path / "broker") as broker:
        done = checked(program, mqtt=f"host: 127.0.0.1, port: {broker.port}")
    assert (done.code, done.err) == (0, "")
    rows = [line.removeprefix("✓  ").split(maxsplit=1) for line in done.out.splitlines()[1:]]
    assert [row[0] for row in rows] == ["configuration", "model", "rules", "source", "event", "MQTT"]
    assert "node test" in rows[0][1]
    assert "tiny on CPUExecutionProvider" in rows[1][1]
    assert "Loud" in rows[2][1]
    assert rows[3][1].startswith("room ")
    assert "burst.wav at 16000 Hz, level -" in rows[3][1]
    assert str(program.state / "events.db") in rows[4][1]


def test_a_digitally_silent_source_gets_a_note(program: Program) -> None:
    """A source of digital silence passes, with a note."""
    write_wav(program.folder / "burst.wav", 0 * room(3))
    done = checked(program)
    assert done.code == 0
    assert "level -120 dBFS (digital silence: is it muted?)" in done.out


def test_a_bad_model(program: Program) -> None:
    """The exit code is that of the first failure, and the other parts are checked too."""
    write_tiny_model(program.models / "mute.onnx", labels=("a", "b"), sample_rate="many")
    done = checked(program, model="mute")
    assert done.code == 65
    assert list(findings(done)) == ["model"]
    assert "metadata sample_rate is 'many', expected a whole number" in findings(done)["model"]
    assert "✓  source room" in done.out


def test_a_missing_model(program: Program) -> None:
    """An unknown model is answered with the nearest name."""
    assert findings(checked(program, model="tinny"))["model"].endswith("unknown model 'tinny'; did you mean 'tiny'?")


def test_rules_that_do_not_fit(program: Program) -> None:
    """A class that the model lacks is answered with the nearest class."""
    done = checked(program, label="Lout")
    assert done.code == 78
    assert findings(done)["rules"].endswith("the model has no class 'Lout'; did you mean 'Loud'?")


def test_profiles_that_do_not_fit(program: Program) -> None:
    """A profile for an unknown label fails with the rules."""
    done = checked(program, mqtt="}\nprofiles: [{name: night, sounds: [{label: Lout}]}]\naudio: {")
    assert done.code == 78
    assert findings(done)["rules"] == "profiles: night: no rule for 'Lout'; did you mean 'Loud'?"


def test_a_missing_file(program: Program) -> None:
    """A source is named as it is configured."""
    (program.folder / "burst.wav").unlink()
    done = checked(program)
    assert done.code == 69
    assert findings(done) == {"source room": "burst.wav: No such file or directory"}


def test_sources_of_the_command_line(program: Program) -> None:
    """Sources on the command line are checked instead of the configured ones, each by itself."""
    checked(program)
    done = program.run("check", "--source", "burst.wav", "--source", "none.wav")
    assert done.code == 69
    assert findings(done) == {"source none.wav": "none.wav: No such file or directory"}
    assert "✓  source burst.wav" in done.out


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"no database" * 99, "file is not a database: the next run moves it aside and starts a new one"), (None, "open")],
)
def test_an_event_log_that_cannot_be_written(program: Program, content: bytes | None, said: str) -> None:
    """A damaged event log, or a folder in its place, is a failure."""
    path = program.state / "events.db"
    path.parent.mkdir(parents=True)
    path.mkdir() if content is None else path.write_bytes(content)
    done = checked(program)
    assert done.code == 74
    assert findings(done)["event log"].startswith(f"cannot write event log {path}: ")
    assert said in findings(done)["event log"]


def test_a_broker_that_is_not_there(program: Program, tmp_path: Path) -> None:
    """A broker that does not answer is named with its address."""
    (tmp_path / "broker").mkdir()
    port = Broker(tmp_path / "broker").port
    done = checked(program, mqtt=f"host: 127.0.0.1, port: {port}")
    assert done.code == 69
    assert f"127.0.0.1:{port}" in findings(done)["MQTT"]


@pytest.mark.real
def test_a_broker_that_refuses_the_password(program: Program, tmp_path: Path) -> None:
    """A wrong password has a message of its own, without the password."""
    (tmp_path / "broker").mkdir()
    with Broker(tmp_path / "broker", passwords={"me": "right"}) as broker:
        done = checked(program, mqtt=f"host: 127.0.0.1, port: {broker.port}, username: me, password: wrong-one")
    assert done.code == 69
    assert "password" in findings(done)["MQTT"]
    assert "wrong-one" not in done.out + done.err
