"""The unit file and its fragments, checked with systemd's own tools."""

import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from monitor.errors import ConfigError, ModelError

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNIT = SYSTEMD / "sound-monitor.service"

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files to another user")


@pytest.fixture
def service() -> configparser.SectionProxy:
    """The unit's [Service] section."""
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT)
    return parser["Service"]


@needs_systemd
@pytest.mark.real
def test_systemd_verifies_the_unit_without_a_warning(tmp_path: Path, service: configparser.SectionProxy) -> None:
    """The unit has no misspelled key or invalid value; `verify` exits with 0 on those, so its stderr counts."""
    program = service["ExecStart"].split()[0]
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace(program, sys.executable))  # verify requires an existing program
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_the_unit_is_confined(tmp_path: Path) -> None:
    """systemd rates the exposure of the unit at 1.3 of 10 or better."""
    unit = shutil.copy(UNIT, tmp_path)
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold=13", unit]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@needs_systemd
@pytest.mark.real
@needs_root
def test_fragments_create_the_user_and_the_configuration(tmp_path: Path) -> None:
    """The user is in the group audio; only root can write the configuration, and others cannot read it."""
    fragments = [SYSTEMD / f"{kind}.d" / "sound-monitor.conf" for kind in ("sysusers", "tmpfiles")]
    default = tmp_path / "opt/sound-monitor/config.yaml"
    default.parent.mkdir(parents=True)
    default.write_text("node: attic\n")
    (tmp_path / "etc").mkdir()
    subprocess.run(["systemd-sysusers", f"--root={tmp_path}", fragments[0]], check=True, capture_output=True)
    made = subprocess.run(
        ["systemd-tmpfiles", "--create", f"--root={tmp_path}", fragments[1]], check=True, capture_output=True, text=True
    )
    passwd = dict(line.split(":", 1) for line in (tmp_path / "etc/passwd").read_text().splitlines())
    group = dict(line.split(":", 1) for line in (tmp_path / "etc/group").read_text().splitlines())
    config = tmp_path / "etc/sound-monitor/config.yaml"
    owner = config.stat()
    assert made.stderr == ""
    assert group["audio"].endswith(":sound-monitor")
    assert config.read_text() == "node: attic\n"
    assert (owner.st_mode & 0o777, owner.st_uid) == (0o640, 0)
    assert owner.st_gid == int(passwd["sound-monitor"].split(":")[2])


def test_an_invalid_model_or_configuration_is_not_retried(service: configparser.SectionProxy) -> None:
    """The unit does not restart after the exit codes of errors that only a person can correct."""
    assert service["RestartPreventExitStatus"].split() == [str(ModelError.exit_code), str(ConfigError.exit_code)]


def test_the_program_accepts_the_arguments_of_the_unit(tmp_path: Path, service: configparser.SectionProxy) -> None:
    """With a missing configuration, the arguments of the unit end as a configuration error."""
    arguments = service["ExecStart"].split()[1:]
    arguments[arguments.index("-c") + 1] = str(tmp_path / "missing.yaml")
    ended = subprocess.run([sys.executable, "-m", "monitor", *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == ConfigError.exit_code
    assert "missing.yaml" in ended.stderr
