"""What is shipped, what it pins, and what importing it loads."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import monitor
from monitor.config.schema import ModelConfig

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


def test_version_stands_in_the_package_and_in_its_metadata_alike() -> None:
    """pyproject.toml and the package name the same version."""
    assert PROJECT["version"] == monitor.__version__


def test_every_dependency_is_pinned() -> None:
    """What the project needs with all extras, and what that needs, has one exact version."""
    extras = [text for extra in PROJECT["optional-dependencies"].values() for text in extra]
    pinned = {canonicalize_name(line.split("==")[0]) for line in PINS}
    assert with_dependencies(PROJECT["dependencies"] + extras) - pinned == set()


@pytest.mark.parametrize("line", PINS)
def test_a_pin_is_a_name_and_a_version(line: str) -> None:
    """No address, no path, no range: where packages come from is each machine's own matter."""
    assert re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9a-z.]*", line)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in the wheel, built by the real backend."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [path] = folder.glob("*.whl")
    return set(zipfile.ZipFile(path).namelist())


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
    command = [sys.executable, "-c", "import monitor.classify.native"]
    clean = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}  # it also keeps quiet where it sees CI
    subprocess.run(command, cwd=ROOT, env=clean, check=True)
    assert list(tmp_path.rglob("*")) == []
