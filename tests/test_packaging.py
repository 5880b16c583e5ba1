"""What is shipped, what it pins, and what importing it loads."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import monitor
from monitor.config.schema import ModelConfig
from tests.parts.cli import Program
from tests.parts.sounds import RATE, write_wav

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]


def with_dependencies(requirements: list[str]) -> set[str]:
    """The names of these requirements and of all that they need in turn, as far as it is installed here."""
    names: set[str] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in names or not (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            continue
        names.add(name)
        try:
            waiting += [Requirement(text) for text in metadata.requires(name) or ()]
        except metadata.PackageNotFoundError:  # the other build of ONNX Runtime
            continue
    return names - {PROJECT["name"]}


def test_every_dependency_is_pinned() -> None:
    """What the project needs with all extras, and what that needs, has one exact version."""
    extras = [text for extra in PROJECT["optional-dependencies"].values() for text in extra]
    pinned = {canonicalize_name(line.split("==")[0]) for line in PINS}
    assert with_dependencies(PROJECT["dependencies"] + extras) - pinned == set()


@pytest.mark.parametrize("line", PINS)
def test_a_pin_is_a_name_and_a_version(line: str) -> None:
    """No address, no path, no range: where packages come from is each machine's own matter."""
    assert re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9a-z.]*", line)


def build(target: str, checkout: Path, folder: Path) -> Path:
    """The wheel or sdist of this checkout, built by the real backend."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(folder)]
    subprocess.run(command, cwd=checkout, check=True, capture_output=True)
    [path] = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def wheel_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def wheel(wheel_file: Path) -> set[str]:
    """The names in the wheel."""
    return set(zipfile.ZipFile(wheel_file).namelist())


def test_wheel_holds_the_default_model(wheel: set[str]) -> None:
    """A model is at hand right after installing."""
    assert f"monitor/bundled/{ModelConfig().name}.onnx" in wheel


def test_wheel_holds_what_is_not_python(wheel: set[str]) -> None:
    """The style sheet of the display, and the marker that says that types are checked."""
    assert {"monitor/tui/app.tcss", "monitor/py.typed"} <= wheel


def test_wheel_holds_the_package_and_nothing_beside_it(wheel: set[str]) -> None:
    """No training recipe, no tests."""
    assert {name.split("/")[0] for name in wheel if ".dist-info/" not in name} == {"monitor"}
    assert not [name for name in wheel if name.startswith("monitor/bundled/train")]


def installed(wheel: Path, folder: Path) -> Program:
    """The program of this wheel, unpacked as an installer does it, and nothing of the checkout within reach."""
    shutil.unpack_archive(wheel, folder / "site-packages", "zip")
    program = Program(folder)
    program.environment["PYTHONPATH"] = str(folder / "site-packages")
    return program


def starts(program: Program) -> None:
    """It says its version and hears a file with the default model, and none of it comes from the checkout."""
    place = [sys.executable, "-c", "import monitor; print(monitor.__file__)"]
    told = subprocess.run(
        place, cwd=program.folder, env=program.environment, check=True, capture_output=True, text=True
    )
    assert told.stdout.strip() == str(program.folder / "site-packages/monitor/__init__.py")
    assert program.run("--version").out == f"sound-monitor {monitor.__version__}\n"
    recording = write_wav(program.folder / "silence.wav", np.zeros(2 * RATE, np.float32))
    assert program.run("analyze", str(recording)).code == 0


def test_the_wheel_starts_outside_the_checkout(wheel_file: Path, tmp_path: Path) -> None:
    """All that the program needs to hear is in the wheel, under the version of the package."""
    starts(installed(wheel_file, tmp_path))
    [installation] = metadata.distributions(path=[str(tmp_path / "site-packages")])
    assert installation.version == monitor.__version__
    [command] = installation.entry_points.select(group="console_scripts")
    assert (command.name, command.value) == ("sound-monitor", "monitor.__main__:main")


@pytest.mark.slow
def test_the_sdist_gives_the_same_wheel(wheel: set[str], tmp_path: Path) -> None:
    """Whoever builds from the sdist gets every file that the wheel of the checkout has, and it starts."""
    archive = build("sdist", ROOT, tmp_path / "sdist")
    subprocess.run(["tar", "-xzf", archive, "-C", tmp_path], check=True)
    built = build("wheel", tmp_path / archive.name.removesuffix(".tar.gz"), tmp_path / "wheel")
    assert set(zipfile.ZipFile(built).namelist()) == wheel
    starts(installed(built, tmp_path))


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("monitor.__main__", {"numpy", "onnxruntime", "sounddevice", "textual", "torch"}),
        ("monitor.service", {"textual", "torch"}),
        ("monitor.tui.app", {"av", "onnxruntime", "sounddevice", "soxr", "torch"}),
    ],
)
def test_importing_loads_only_what_is_needed(module: str, unwanted: set[str]) -> None:
    """The service needs no terminal and the display no inference, not even in memory."""
    command = [sys.executable, "-c", f"import sys, {module}; print(*sys.modules)"]
    loaded = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    assert unwanted & set(loaded) == set()


def test_inference_reports_to_nobody(tmp_path: Path) -> None:
    """ONNX Runtime would make an identifier and a store of reports in the home directory, and send them."""
    command = [sys.executable, "-c", "import monitor.classify.model"]
    clean = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}  # it also keeps quiet where it sees CI
    subprocess.run(command, cwd=ROOT, env=clean, check=True)
    assert list(tmp_path.rglob("*")) == []
