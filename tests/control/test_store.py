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


async def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    """Also the second time, in a folder that was not there; nothing else is left lying about."""
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
async def test_a_damaged_file_is_said_and_replaced(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """All is as configured then, and the next change is kept."""
    file = SettingsFile(tmp_path / "settings.json")
    file.path.write_bytes(content)
    assert file.load() == Choices()
    assert "cannot read settings" in caplog.text
    await file.save(CHOICES)
    assert file.load() == CHOICES


async def test_a_disk_that_fails_is_said_once_and_so_is_its_recovery(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was kept before stays whole, and nothing else is left in the folder."""
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
    """A save is cancelled while its thread waits for the disk; the next one is not overtaken by it."""
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
    """What a full disk answers."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
