"""The file that keeps the settings over a restart."""

import errno
import os
from pathlib import Path

import pytest

from monitor.control.settings import Change, Choices
from monitor.control.store import LIMIT, SettingsFile

CHOICES = Choices(True, "night", {"night": {"Dog": Change(on=0.7), "Glass": Change(enabled=False)}})


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    """Also the second time, in a folder that was not there; nothing else is left lying about."""
    file = SettingsFile(tmp_path / "state" / "settings.json")
    assert file.load() == Choices()
    for choices in (CHOICES, Choices(), CHOICES):
        file.save(choices)
        assert SettingsFile(file.path).load() == choices
    assert list(file.path.parent.iterdir()) == [file.path]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b"[]", b'{"paused": 1}', b'{"changes": {"a": 5}}', b"[" * LIMIT, b"{}" * LIMIT]
)
def test_a_damaged_file_is_said_and_replaced(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """All is as configured then, and the next change is kept."""
    file = SettingsFile(tmp_path / "settings.json")
    file.path.write_bytes(content)
    assert file.load() == Choices()
    assert "cannot be read" in caplog.text
    file.save(CHOICES)
    assert file.load() == CHOICES


def test_a_disk_that_fails_is_said_once_and_so_is_its_recovery(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was kept before stays whole, and nothing else is left in the folder."""
    file = SettingsFile(tmp_path / "settings.json")
    file.save(CHOICES)
    with monkeypatch.context() as broken:
        broken.setattr("os.fsync", refuse)
        file.save(Choices())
        file.save(Choices())
    assert file.load() == CHOICES
    assert list(tmp_path.iterdir()) == [file.path]
    file.save(Choices())
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert "they hold until the next restart" in caplog.text
    assert file.load() == Choices()


def refuse(_: int) -> None:
    """What a full disk answers."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
