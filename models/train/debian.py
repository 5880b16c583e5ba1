"""More recordings from Debian packages, every one of which is free: their sounds, added to a manifest."""

from __future__ import annotations

import csv
import hashlib
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from monitor.errors import DownloadError

from .corpus import decode
from .frontend import SAMPLE_RATE
from .progress import track

SOUND = re.compile(r"\.(ogg|oga|wav|flac|mp3|au|aiff?)$", re.IGNORECASE)
MUSIC = re.compile(r"music|songs?/|soundtrack", re.IGNORECASE)
"""Paths left out: there is music enough, and it is long."""
LICENCE = re.compile(r"^License:[ \t]*(\S.*?)[ \t]*$", re.MULTILINE)
COMMON = re.compile(r"/usr/share/common-licenses/([\w.+-]*\w)")
SHORTEST, LONGEST = 0.1, 30.0
"""Seconds: shorter sounds are left out, longer ones are cut."""
FAINT = 0.003
"""Highest sample below which a sound is left out as silence."""
HELD_OUT = 0.08
"""Share of the recordings that go to the val split."""
COLUMNS = ("path", "source", "original_path", "licence", "label", "split", "fold", "seconds")


def gather(packages: Sequence[str], data: Path) -> int:
    """Add the sounds of those packages that the manifest of the folder `data` lacks; how many recordings were added.

    Raises `DownloadError` where there is no apt-get, or a package cannot be had. Safe to stop at any time: a package is
    in the manifest whole or not at all.
    """
    if shutil.which("apt-get") is None:
        raise DownloadError("apt-get is not there: gather on a Debian machine, or write the manifest by other means")
    manifest, seen, added = data / "manifest.csv", set[str](), 0
    known = sources_of(manifest)
    for package in track([name for name in packages if name not in known], "gather sounds"):
        rows = list(recordings_of(package, data, seen))
        append(manifest, rows)
        added += len(rows)
    return added


def recordings_of(package: str, data: Path, seen: set[str]) -> Iterator[dict[str, str]]:
    """Write the sounds of one package beneath `data`; their rows. A sound that is in `seen` is left out."""
    folder = data / "audio" / package
    folder.mkdir(parents=True, exist_ok=True)
    sounds, licence = unpack(package)
    for name in sorted(sounds):
        samples = readable(sounds[name])
        digest = hashlib.sha256(samples.tobytes()).hexdigest()
        if len(samples) == 0 or digest in seen:
            continue
        seen.add(digest)
        path = folder / f"{digest[:16]}.flac"
        soundfile.write(path, samples, SAMPLE_RATE)
        yield {
            "path": path.relative_to(data).as_posix(),
            "source": package,
            "original_path": name,
            "licence": licence,
            "label": "",
            "split": "val" if int(digest[:8], 16) < HELD_OUT * 2**32 else "train",
            "fold": "0",
            "seconds": f"{len(samples) / SAMPLE_RATE:.3f}",
        }


def unpack(package: str) -> tuple[dict[str, bytes], str]:
    """The sound files of a Debian package by their paths, and its licences."""
    sounds, licence = {}, "see the package's copyright file"
    with tempfile.TemporaryDirectory() as scratch:
        command = ["apt-get", "-q", "download", package]
        got = subprocess.run(command, cwd=scratch, capture_output=True, text=True)  # noqa: S603
        if got.returncode:
            raise DownloadError(f"{package}: {got.stderr.strip() or 'apt-get download failed'}")
        (archive,) = Path(scratch).glob("*.deb")
        command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
        with (
            subprocess.Popen(command, stdout=subprocess.PIPE) as unpacking,  # noqa: S603
            tarfile.open(fileobj=unpacking.stdout, mode="r|") as tar,
        ):
            for member in tar:
                name = member.name.removeprefix("./")
                if member.isfile() and SOUND.search(name) and not MUSIC.search(name):
                    sounds[name] = contents(tar, member)
                elif member.isfile() and name == f"usr/share/doc/{package}/copyright":
                    licence = licences(contents(tar, member).decode("utf-8", "replace")) or licence
    return sounds, licence


def contents(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """A regular file of an archive."""
    file = tar.extractfile(member)
    return file.read() if file else b""


def licences(copyright_file: str) -> str:
    """Short names of all licences that a package's copyright file tells of, machine-readable or not."""
    return " / ".join(dict.fromkeys(LICENCE.findall(copyright_file) or COMMON.findall(copyright_file)))


def readable(file: bytes) -> NDArray[np.int16]:
    """A sound file as 16 kHz mono int16, cut to what is wanted of it; empty where it is none, short or silent."""
    try:
        samples = decode(BytesIO(file))
    except soundfile.LibsndfileError:
        return np.zeros(0, np.int16)
    faint = len(samples) == 0 or float(np.abs(samples.astype(np.int32)).max()) < FAINT * 32767
    return samples[: 0 if faint or len(samples) < SHORTEST * SAMPLE_RATE else int(LONGEST * SAMPLE_RATE)]


def sources_of(manifest: Path) -> set[str]:
    """Every source that a manifest lists; none where it is not there yet."""
    if not manifest.exists():
        return set()
    with manifest.open(newline="", encoding="utf-8") as file:
        return {row["source"] for row in csv.DictReader(file)}


def append(manifest: Path, rows: Sequence[dict[str, str]]) -> None:
    """Add rows to a manifest, new or old, all or none of them."""
    part = manifest.with_suffix(".part")
    if manifest.exists():
        shutil.copyfile(manifest, part)
    fresh = not part.exists()
    with part.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if fresh:
            writer.writeheader()
        writer.writerows(rows)
    part.replace(manifest)
