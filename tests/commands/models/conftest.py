"""The command line in the test's own process, which loads the zoo only once."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from monitor.__main__ import main
from tests.parts.cli import Ended
from tests.parts.sounds import bursts, write_wav

Command = Callable[..., Ended]


SMALL = ("import", "small.pth", "--family", "ced", "--window", "1", "--name", "small")
"""Arguments that make the model `small`."""


def small_ced(path: Path) -> Path:
    """Write a small checkpoint. Only a test that asks for one needs torch."""
    from tests.parts.small_ced import write_small_ced

    return write_small_ced(path)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small.onnx and small-int8.onnx, made once from a checkpoint and a recording."""
    folder = tmp_path_factory.mktemp("made")
    checkpoint = small_ced(folder / "small.pth")
    recording = write_wav(folder / "burst.wav", bursts(3, 0.5, 1.5))
    output = folder / "out" / "small.onnx"
    arguments = ["--family", "ced", "--window", "1", "--output", str(output), "--int8", str(recording)]
    assert main(["models", "import", str(checkpoint), *arguments]) == 0
    return output.parent


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The user's folder of models."""
    return tmp_path / "data" / "sound-monitor" / "models"


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run `sound-monitor models` with arguments in a folder that has small.pth and burst.wav."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    small_ced(tmp_path / "small.pth")
    write_wav(tmp_path / "burst.wav", bursts(3, 0.5, 1.5))

    def run(*arguments: str) -> Ended:
        capsys.readouterr()
        code = main(["models", *arguments])
        return Ended(code, *capsys.readouterr())

    return run


@pytest.fixture
def available(command: Command, made: Path, models: Path) -> Command:
    """Run `sound-monitor models` with the models `small` and `small-int8` available."""
    shutil.copytree(made, models)
    return command
