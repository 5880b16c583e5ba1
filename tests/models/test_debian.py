"""Sounds of Debian packages join the manifest, each once, with the licences that they came with."""

import csv
import importlib
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from monitor.errors import DownloadError

pytest.importorskip("torch", reason="the training recipe needs torch; the bundled model does not")
soundfile = pytest.importorskip("soundfile", reason="the training recipe needs soundfile")
debian = importlib.import_module("models.train.debian")
corpus = importlib.import_module("models.train.corpus")

pytestmark = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="unpacking Debian packages needs dpkg-deb")

COPYRIGHT = "Files: *\nLicense: GPL-2+\n text\n\nFiles: x\nLicense: CC-BY-3.0\n\nFiles: y\nLicense: GPL-2+\n"


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of real Debian archives, and an apt-get that knows no others."""
    shelf = tmp_path / "shelf"
    for name in ("game", "again"):
        root = tmp_path / name
        sounds = root / "usr" / "share" / name / "sounds"
        (sounds / "music").mkdir(parents=True)
        tone = 0.5 * np.sin(np.arange(22_050 * 40) * 0.1)
        soundfile.write(sounds / "siren.wav", tone, 22_050)
        soundfile.write(sounds / "music" / "theme.ogg", tone[:22_050], 22_050)
        soundfile.write(sounds / f"{name}.ogg", tone[: 22_050 if name == "game" else 44_100], 22_050)
        soundfile.write(sounds / "short.wav", tone[:500], 22_050)
        soundfile.write(sounds / "silent.wav", np.zeros(22_050), 22_050)
        (sounds / "broken.wav").write_bytes(b"RIFF nothing")
        about = root / "usr" / "share" / "doc" / name
        about.mkdir(parents=True)
        (about / "copyright").write_text(COPYRIGHT, encoding="utf-8")
        (root / "DEBIAN").mkdir()
        control = f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: sounds\n"
        (root / "DEBIAN" / "control").write_text(control, encoding="utf-8")
        shelf.mkdir(exist_ok=True)
        subprocess.run(["dpkg-deb", "--build", "-Zgzip", root, shelf / f"{name}.deb"], check=True, capture_output=True)
    tools = tmp_path / "bin"
    tools.mkdir()
    apt = tools / "apt-get"
    apt.write_text(f'#!/bin/sh\n[ "$2" = download ] && cp {shelf}/"$3".deb .\n', encoding="utf-8")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    return shelf


def rows(data: Path) -> list[dict[str, str]]:
    with (data / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_each_sound_joins_once_cut_and_with_its_licences(packages: Path, tmp_path: Path) -> None:
    """Music, silence, snippets and broken files do not; nor the same sound out of another package."""
    data = tmp_path / "data"
    data.mkdir()
    assert debian.gather(["game", "again"], data) == 3
    found = {row["original_path"]: row for row in rows(data)}
    assert set(found) == {
        "usr/share/game/sounds/siren.wav", "usr/share/game/sounds/game.ogg", "usr/share/again/sounds/again.ogg"
    }  # fmt: skip
    siren = found["usr/share/game/sounds/siren.wav"]
    assert (siren["source"], siren["licence"], siren["seconds"]) == ("game", "GPL-2+ / CC-BY-3.0", "30.000")
    made = corpus.load(data, tmp_path)
    assert corpus.event_of("", siren["original_path"]) in {clip.event for clip in made.clips}
    heard = soundfile.read(data / siren["path"])[0]
    assert len(heard) == 30 * 16_000
    assert np.abs(heard).max() == pytest.approx(0.5, abs=0.02)


def test_what_is_there_already_is_kept_and_skipped(packages: Path, tmp_path: Path) -> None:
    debian.gather(["game"], tmp_path)
    before = rows(tmp_path)
    assert debian.gather(["game"], tmp_path) == 0
    assert rows(tmp_path) == before
    debian.gather(["again"], tmp_path)
    assert rows(tmp_path)[: len(before)] == before


def test_a_package_that_cannot_be_had_says_so_and_loses_nothing(packages: Path, tmp_path: Path) -> None:
    debian.gather(["game"], tmp_path)
    before = rows(tmp_path)
    with pytest.raises(DownloadError, match="unheard-of"):
        debian.gather(["unheard-of"], tmp_path)
    assert rows(tmp_path) == before


def test_licences_of_an_old_copyright_file_are_those_that_it_points_to() -> None:
    text = "This is free; see /usr/share/common-licenses/GPL-2, and `/usr/share/common-licenses/LGPL-2.1'."
    assert debian.licences(text) == "GPL-2 / LGPL-2.1"
    assert debian.licences("do as you like") == ""
