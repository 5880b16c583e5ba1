"""The file that keeps the settings over a restart."""

import asyncio
import errno
import os
import threading
from pathlib import Path

import pytest

from monitor.control.settings import Choices, Override
from monitor.control.store import MAX_BYTES, SettingsFile

CHOICES = Choices(True, "night", {"night": {"Dog": Override(on=0.7), "Glass": Override(enabled=False)}})


def names(folder: Path) -> list[str]:
    """The files in a folder."""
    return [path.name for path in folder.iterdir()]


async def test_saved_choices_are_loaded(tmp_path: Path) -> None:
    """Saving creates the folder, can be repeated, and leaves no other file."""
    file = SettingsFile(tmp_path / "state" / "settings.json")
    assert file.load() == Choices()
    for choices in (CHOICES, Choices(), CHOICES):
        await file.save(choices)
        assert SettingsFile(file.path).load() == choices
    assert names(file.path.parent) == [file.path.name]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b"[]", b'{"paused": 1}', b'{"changes": {"a": 5}}', b"[" * MAX_BYTES, b"{}" * MAX_BYTES],
)
async def test_an_invalid_file_is_logged_and_replaced(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """An invalid file gives no choices, and the next save replaces it."""
    file = SettingsFile(tmp_path / "settings.json")
    file.path.write_bytes(content)
    assert file.load() == Choices()
    assert "cannot read settings" in caplog.text
    await file.save(CHOICES)
    assert file.load() == CHOICES


async def test_a_failing_disk_and_its_recovery_are_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed save keeps the previous file, and leaves no other file."""
    file = SettingsFile(tmp_path / "settings.json")
    await file.save(CHOICES)
    with monkeypatch.context() as broken:
        broken.setattr("os.fsync", refuse)
        await file.save(Choices())
        await file.save(Choices())
    assert file.load() == CHOICES
    assert names(tmp_path) == [file.path.name]
    await file.save(Choices())
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert "they last until the next restart" in caplog.text
    assert file.load() == Choices()


async def test_the_newest_choices_win_when_saves_overlap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread of a cancelled save does not overwrite the choices of the next save."""
    file = SettingsFile(tmp_path / "settings.json")
    syncing, ready = threading.Event(), threading.Event()

    def slow(descriptor: int) -> None:
        if not syncing.is_set():
            syncing.set()
            assert ready.wait(20)

    monkeypatch.setattr("os.fsync", slow)
    first = asyncio.create_task(file.save(Choices(paused=True)))
    assert await asyncio.to_thread(syncing.wait, 20)
    first.cancel()
    second = asyncio.create_task(file.save(CHOICES))
    await asyncio.wait([second], timeout=0.1)
    ready.set()
    await second
    await asyncio.get_running_loop().shutdown_default_executor()
    assert file.load() == CHOICES


def refuse(_: int) -> None:
    """Fail like a full disk."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
