"""`models`: the available models and their classes."""

from tests.parts.cli import BUNDLED, Program
from tests.parts.tiny_model import write_tiny_model


def test_models_are_listed(program: Program) -> None:
    """The user's models and the bundled ones are listed, a whole line for each in a pipe."""
    done = program.run("models", COLUMNS="40")
    assert (done.code, done.err) == (0, "")
    rows = {line.split()[0]: line for line in done.out.splitlines()}
    assert list(rows) == ["name", *BUNDLED, "tiny"]
    path = "home/.local/share/sound-monitor/models/tiny.onnx"
    assert rows["tiny"].split() == ["tiny", "tiny", "16000", "Hz", "0.975", "s", "2", "0.0", "MB", "CC0-1.0", path]
    assert not any(line.endswith(" ") for line in rows.values())


def test_a_broken_file_does_not_hide_the_others(program: Program) -> None:
    """An invalid file is reported with the reason, and the exit code is 65."""
    (program.models / "broken.onnx").write_bytes(b"no model")
    write_tiny_model(program.models / "mute.onnx", licence=None)
    done = program.run("models")
    assert done.code == 65
    assert [line.split()[0] for line in done.out.splitlines()] == ["name", *BUNDLED, "tiny"]
    broken, mute = done.err.splitlines()
    assert broken.startswith(f"sound-monitor: {program.models}/broken.onnx: not a")
    assert "mute.onnx: missing metadata: licence" in mute


def test_a_users_model_replaces_ours(program: Program) -> None:
    """The user's model replaces a bundled one of the same name."""
    write_tiny_model(program.models / "lean-int8.onnx")
    done = program.run("models")
    [row] = [line for line in done.out.splitlines() if line.startswith("lean-int8")]
    assert row.endswith("home/.local/share/sound-monitor/models/lean-int8.onnx")


def test_the_classes_of_a_model(program: Program) -> None:
    """Classes are printed one on each line, in the order of the answers."""
    done = program.run("models", "--labels", "tiny")
    assert (done.code, done.out, done.err) == (0, "Loud\nQuiet\n", "")


def test_an_unknown_model(program: Program) -> None:
    """The nearest name is suggested for an unknown model."""
    done = program.run("models", "--labels", "tinny")
    assert (done.code, done.out) == (65, "")
    assert done.err == "sound-monitor: unknown model 'tinny'; did you mean 'tiny'?\n"
