"""script/run: when it sets up, and how it hands over. What it installs is proven by script/test itself."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """\
#!/bin/sh
pwd
for argument; do printf '<%s>\\n' "$argument"; done
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout, in a path with a space, whose environment counts as complete and has a program that tells."""
    root = tmp_path / "my monitor"
    shutil.copytree(ROOT / "script", root / "script")
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, root)
    programs = root / ".venv/bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(sys.executable)
    (programs / "sound-monitor").write_text(PROGRAM)
    (programs / "sound-monitor").chmod(0o755)
    shell(root, 'echo "$(wanted) run" >"$stamp"')
    return root


def shell(root: Path, command: str) -> int:
    """The exit code of a command that knows script/lib.sh."""
    script = f'set -eu; root=$1; . "$root/script/lib.sh"; {command}'
    return subprocess.run(["sh", "-c", script, "sh", root], check=False).returncode


@pytest.mark.parametrize("script", ["script/run", "script/test", "script/lib.sh", ".ci/run"])
def test_scripts_are_plain_shell(script: str) -> None:
    """They parse in the system's plain shell."""
    assert subprocess.run(["sh", "-n", ROOT / script], check=False).returncode == 0


def test_it_hands_over_arguments_and_folder(checkout: Path, tmp_path: Path) -> None:
    """The program runs where the caller stands, with the caller's very arguments."""
    told = subprocess.run(
        [checkout / "script/run", "--source", "a b.wav", "*"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert told.stdout.splitlines() == [str(tmp_path), "<run>", "<--source>", "<a b.wav>", "<*>"]
    assert told.stderr == ""


def test_it_works_through_a_link(checkout: Path, tmp_path: Path) -> None:
    """A link to it somewhere on the PATH finds the checkout."""
    (tmp_path / "listen").symlink_to(checkout / "script/run")
    told = subprocess.run([tmp_path / "listen"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert told.stdout.splitlines() == [str(tmp_path), "<run>"]


def test_a_complete_environment_is_left_alone(checkout: Path) -> None:
    """Complete for listening is not complete for testing, but the other way round it is; `dev` is complete for all."""
    assert shell(checkout, "is_ready run") == 0
    assert shell(checkout, "is_ready test") == 1
    shell(checkout, 'echo "$(wanted) test" >"$stamp"')
    assert shell(checkout, "is_ready run && is_ready test") == 0
    assert shell(checkout, "is_ready dev") == 1
    assert shell(checkout, "is_ready train") == 1
    shell(checkout, 'echo "$(wanted) dev" >"$stamp"')
    assert shell(checkout, "is_ready run && is_ready test && is_ready train && is_ready dev") == 0


@pytest.mark.parametrize(
    "harm",
    [
        'echo >>"$root/constraints.txt"',
        'echo >>"$root/pyproject.toml"',
        'rm "$venv/bin/python"',
        'rm "$stamp"',
        ': >"$stamp"',
    ],
)
def test_a_stale_or_broken_environment_is_noticed(checkout: Path, harm: str) -> None:
    """Other requirements, a Python that is gone, an installation that did not come to its end."""
    shell(checkout, harm)
    assert shell(checkout, "is_ready run") == 1


def test_a_moved_environment_is_noticed(checkout: Path) -> None:
    """Its programs name the place they were made for."""
    assert shell(checkout.rename(checkout.with_name("moved")), "is_ready run") == 1
