"""Downloads over HTTP: whole, resumed, verified or refused."""

import hashlib
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.errors import DownloadError, ModelError, StorageError
from monitor.zoo.build import download as module
from monitor.zoo.build.download import download
from tests.parts.web import Site, serving

CONTENT = bytes(range(256)) * 4000
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@pytest.fixture
def site() -> Iterator[Site]:
    """A server with one file of 1 MB."""
    with serving(Site({"/model.pth": CONTENT})) as site:
        yield site


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting between attempts."""
    monkeypatch.setattr("time.sleep", lambda _: None)


def get(site: Site, target: Path, size: int | None = len(CONTENT), digest: str | None = DIGEST) -> list[int]:
    """Download; return the byte counts that were reported."""
    said: list[int] = []

    def progress(done: int, total: int | None) -> None:
        assert total == len(CONTENT)
        said.append(done)

    download(f"{site.address}/model.pth", target, size, digest, progress)
    return said


def test_a_file_comes_whole_and_alone(site: Site, tmp_path: Path) -> None:
    """The file is written to a new folder, and the progress ends at its size."""
    target = tmp_path / "cache" / "model.pth"
    said = get(site, target)
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["model.pth"]
    assert said[-1] == len(CONTENT)
    assert said == sorted(said)


def test_a_broken_connection_is_resumed(site: Site, tmp_path: Path) -> None:
    """A download resumes at the byte at which its connection broke."""
    site.limit = 300_000
    get(site, tmp_path / "model.pth")
    assert (tmp_path / "model.pth").read_bytes() == CONTENT
    assert site.ranges == [None, "bytes=300000-"]


def test_an_interrupted_download_resumes_later(site: Site, tmp_path: Path) -> None:
    """After Ctrl-C the next download requests only the rest."""

    def interrupt(done: int, _: int | None) -> None:
        if done > 400_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(f"{site.address}/model.pth", tmp_path / "model.pth", None, None, interrupt)
    assert not (tmp_path / "model.pth").exists()
    there = (tmp_path / "model.pth.part").stat().st_size
    assert get(site, tmp_path / "model.pth")[0] == there > 400_000
    assert (tmp_path / "model.pth").read_bytes() == CONTENT


@pytest.mark.parametrize("tag", ['"second"', None])
def test_another_version_is_not_mixed_with_the_first(site: Site, tmp_path: Path, tag: str | None) -> None:
    """A part of another or unknown version of the file is downloaded again from the start."""
    (tmp_path / "model.pth.part").write_bytes(b"old" * 1000)
    (tmp_path / "model.pth.version").write_text('"first"')
    site.tag = tag
    assert get(site, tmp_path / "model.pth")[0] == 0
    assert (tmp_path / "model.pth").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_discarded(site: Site, tmp_path: Path) -> None:
    """A part for which the server has no rest is discarded."""
    (tmp_path / "model.pth.part").write_bytes(bytes(len(CONTENT)))
    (tmp_path / "model.pth.version").write_text('"first"')
    get(site, tmp_path / "model.pth")
    assert (tmp_path / "model.pth").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("size", "digest", "said"),
    [
        (None, "sha256:00", "its sha256 is "),
        (None, "md5:00", "its md5 is "),
        (7, None, "has 1024000 bytes instead of 7"),
    ],
)
def test_another_file_than_was_published_is_refused(
    site: Site, tmp_path: Path, size: int | None, digest: str | None, said: str
) -> None:
    """A file with another digest or size is refused, and nothing of it is left."""
    with pytest.raises(ModelError, match=said):
        get(site, tmp_path / "model.pth", size, digest)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_requested_once(site: Site, tmp_path: Path) -> None:
    """The server's answer is reported, and the request is not repeated."""
    site.files.clear()
    with pytest.raises(DownloadError, match=re.escape("/model.pth: the server answered 404 Not Found")):
        get(site, tmp_path / "model.pth")
    assert len(site.ranges) == 1


def test_a_refused_connection_is_explained(tmp_path: Path) -> None:
    """The error names the reason."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening
        site = Site(address=f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(DownloadError, match=r"Connection refused$"):
            get(site, tmp_path / "model.pth")


def test_a_full_disk_is_reported_before_writing(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too little space is reported before anything is written."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(StorageError, match=r"model\.pth\.part: 1 MB required, more than the disk has left"):
        get(site, tmp_path / "model.pth")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_is_cleared(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The part that was written is removed."""
    monkeypatch.setattr(module, "_copy", lambda *_: Path("/dev/full").write_bytes(b"more"))
    with pytest.raises(StorageError, match="No space left on device"):
        get(site, tmp_path / "model.pth")
    assert list(tmp_path.iterdir()) == []
