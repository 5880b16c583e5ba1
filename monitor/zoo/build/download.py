"""Getting one large file over HTTP: what a broken connection has left goes on where it stopped (RFC 9110, 14)."""

import errno
import hashlib
import http.client
import re
import shutil
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from monitor import __version__
from monitor.errors import DownloadError, ModelError, StorageError

BLOCK = 1 << 18
"""Bytes that are written at once."""
TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as broken."""
ATTEMPTS = 5
"""Connections in a row that may bring nothing."""

Progress = Callable[[int, int | None], None]
"""Hears of the bytes that there are, and of all that there will be where that is known."""


def download(address: str, target: Path, size: int | None, digest: str | None, progress: Progress) -> None:
    """Put the file at `address` to `target`, whole and verified, or not at all.

    `size`: bytes, `digest`: like "sha256:…" or "md5:…", as published; where they are known the file must fit them.
    What an interrupted download has left stays beside `target` and is gone on with, if the server still has the same
    file. Raises `DownloadError`, `ModelError` for a file that is not the published one, and `StorageError`.
    """
    part = _Part(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _get_all(address, part, progress)
        _verify(address, part.path, size, digest)
        part.finish(target)
    except ModelError:
        part.forget()
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            part.forget()
        raise StorageError(f"cannot write {part.path}: {error.strerror}") from error


@dataclass(frozen=True)
class _Part:
    """What has come of a file so far, and the server's mark of the version that it is of."""

    target: Path

    @property
    def path(self) -> Path:
        return self.target.with_name(self.target.name + ".part")

    @property
    def _mark(self) -> Path:
        return self.target.with_name(self.target.name + ".version")

    def begun(self) -> tuple[int, str]:
        """The bytes that are there, and the version; 0 where it is not known which they are of."""
        if self.path.is_file() and self._mark.is_file():
            return self.path.stat().st_size, self._mark.read_text()
        return 0, ""

    def begin(self, version: str) -> None:
        self._mark.write_text(version) if version else self._mark.unlink(missing_ok=True)

    def finish(self, target: Path) -> None:
        self.path.replace(target)
        self._mark.unlink(missing_ok=True)

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)
        self._mark.unlink(missing_ok=True)


def _get_all(address: str, part: _Part, progress: Progress) -> None:
    """Connect until all is there; a connection that brings something makes up for those that brought nothing."""
    left = ATTEMPTS
    while True:
        before, _ = part.begun()
        try:
            return _get(address, part, progress)
        except HTTPError as error:
            error.close()
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and before:
                part.forget()  # more than there is: not of this file
                continue
            if error.code < 500 and error.code != http.HTTPStatus.TOO_MANY_REQUESTS:
                raise DownloadError(f"{address}: the server says {error.code} {error.reason}") from error
            reason = f"the server says {error.code} {error.reason}"
        except URLError as error:
            reason = str(getattr(error.reason, "strerror", None) or error.reason)
        except (ConnectionError, TimeoutError, ssl.SSLError, http.client.HTTPException) as error:
            reason = str(getattr(error, "strerror", None) or error) or type(error).__name__
        left = ATTEMPTS if part.begun()[0] > before else left - 1
        if not left:
            rest = "; what has come is kept, the next attempt goes on from there" if part.begun()[0] else ""
            raise DownloadError(f"{address}: {reason}{rest}")
        time.sleep(0.2 * 2 ** (ATTEMPTS - left))


def _get(address: str, part: _Part, progress: Progress) -> None:
    """One connection. Raises what it broke off with."""
    begun, version = part.begun()
    request = Request(address, headers={"User-Agent": f"sound-monitor/{__version__}"})  # noqa: S310 - see catalogue
    if begun:
        request.add_header("Range", f"bytes={begun}-")
        request.add_header("If-Range", version)
    with urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
        goes_on = answer.status == http.HTTPStatus.PARTIAL_CONTENT and match is not None and int(match[1]) == begun
        begun = begun if goes_on else 0
        length = answer.headers.get("Content-Length")
        total = begun + int(length) if length is not None else None
        if not goes_on:
            part.begin(_version(answer.headers))
        with part.path.open("ab" if goes_on else "wb") as file:
            if total is not None and shutil.disk_usage(part.path.parent).free < total - begun:
                raise OSError(errno.ENOSPC, f"{(total - begun) / 1e6:.0f} MB are needed, the disk has fewer left")
            _copy(answer, file, begun, total, progress)


def _copy(answer: http.client.HTTPResponse, file: BinaryIO, begun: int, total: int | None, progress: Progress) -> None:
    progress(begun, total)
    while block := answer.read(BLOCK):
        file.write(block)
        begun += len(block)
        progress(begun, total)
    if total is not None and begun < total:
        raise http.client.IncompleteRead(b"", total - begun)


def _version(headers: http.client.HTTPMessage) -> str:
    """A mark of the file's version by which to ask for the rest; "" where the server gives none that is exact."""
    tag: str = headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")


def _verify(address: str, path: Path, size: int | None, digest: str | None) -> None:
    actual = path.stat().st_size
    if size is not None and actual != size:
        raise ModelError(f"{address}: gave {actual} bytes, {size} were published: not the file that it should be")
    if digest is not None:
        kind, _, wanted = digest.partition(":")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
        if found != wanted:
            raise ModelError(
                f"{address}: its {kind} is {found}, {wanted} was published: not the file that it should be"
            )
