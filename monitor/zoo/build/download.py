"""Download one large file over HTTP, and resume where a broken connection stopped (RFC 9110, section 14)."""

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
"""Bytes to write at once."""
TIMEOUT = 30.0
"""Seconds without a byte after which the connection is considered broken."""
ATTEMPTS = 5
"""Consecutive connections that may deliver nothing."""

Progress = Callable[[int, int | None], None]
"""Called with the bytes that have arrived and the total, None while that is unknown."""


def download(address: str, target: Path, size: int | None, digest: str | None, progress: Progress) -> None:
    """Download the file at `address` to `target`, whole and verified, or not at all.

    `size`: bytes, `digest`: such as "sha256:…" or "md5:…", as published; None if unknown. An interrupted download stays
    beside `target`; the next one resumes it if the server still has the same file. Raises `DownloadError`, `ModelError`
    for a file that is not the published one, and `StorageError`.
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
    """The part of a file that has arrived, and the server's mark of the file's version."""

    target: Path

    @property
    def path(self) -> Path:
        return self.target.with_name(self.target.name + ".part")

    @property
    def _mark(self) -> Path:
        return self.target.with_name(self.target.name + ".version")

    def begun(self) -> tuple[int, str]:
        """Return the number of bytes, and the version; 0 if the version is unknown."""
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
    """Connect until the file is complete; a connection that delivers something resets the count of attempts."""
    left = ATTEMPTS
    while True:
        before, _ = part.begun()
        try:
            return _get(address, part, progress)
        except HTTPError as error:
            error.close()
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and before:
                part.forget()  # longer than the file: a part of another file
                continue
            if error.code < 500 and error.code != http.HTTPStatus.TOO_MANY_REQUESTS:
                raise DownloadError(f"{address}: the server answered {error.code} {error.reason}") from error
            reason = f"the server answered {error.code} {error.reason}"
        except URLError as error:
            reason = str(getattr(error.reason, "strerror", None) or error.reason)
        except (ConnectionError, TimeoutError, ssl.SSLError, http.client.HTTPException) as error:
            reason = str(getattr(error, "strerror", None) or error) or type(error).__name__
        left = ATTEMPTS if part.begun()[0] > before else left - 1
        if not left:
            rest = "; the part that arrived is kept, the next attempt resumes it" if part.begun()[0] else ""
            raise DownloadError(f"{address}: {reason}{rest}")
        time.sleep(0.2 * 2 ** (ATTEMPTS - left))


def _get(address: str, part: _Part, progress: Progress) -> None:
    """Download over one connection. Raises the error that ended it."""
    begun, version = part.begun()
    request = Request(address, headers={"User-Agent": f"sound-monitor/{__version__}"})  # noqa: S310 - see catalogue
    if begun:
        request.add_header("Range", f"bytes={begun}-")
        request.add_header("If-Range", version)
    with urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
        resumes = answer.status == http.HTTPStatus.PARTIAL_CONTENT and match is not None and int(match[1]) == begun
        begun = begun if resumes else 0
        length = answer.headers.get("Content-Length")
        total = begun + int(length) if length is not None else None
        if not resumes:
            part.begin(_version(answer.headers))
        with part.path.open("ab" if resumes else "wb") as file:
            if total is not None and shutil.disk_usage(part.path.parent).free < total - begun:
                raise OSError(errno.ENOSPC, f"{(total - begun) / 1e6:.0f} MB required, more than the disk has left")
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
    """A mark of the file's version, to request the rest of the same file; "" if the server gives no exact one."""
    tag: str = headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")


def _verify(address: str, path: Path, size: int | None, digest: str | None) -> None:
    actual = path.stat().st_size
    if size is not None and actual != size:
        raise ModelError(f"{address}: not the published file: it has {actual} bytes instead of {size}")
    if digest is not None:
        kind, _, wanted = digest.partition(":")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
        if found != wanted:
            raise ModelError(f"{address}: not the published file: its {kind} is {found} instead of {wanted}")
