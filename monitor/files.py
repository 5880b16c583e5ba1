"""Files: written whole or not at all, identified by their hash, named as in a shell."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def written_whole(target: Path, *, durable: bool = False) -> Iterator[Path]:
    """Yield a path in the target's folder to write to; move it to `target` at the end, or remove it on any error.

    The folder is created where it is missing. The path keeps the target's suffix, and no two callers get the same.
    `durable` waits until the content is on the disk, so that a power cut leaves the old file or the new one. Raises
    `OSError`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".part-{os.getpid()}-{os.urandom(4).hex()}-{target.name}")
    try:
        yield part
        if durable:
            _sync(part)
        part.replace(target)
        if durable:
            _sync(target.parent)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """The hash of a file's content, in hexadecimal digits. Raises `OSError`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def expand_home(path: str) -> Path:
    """The path with `~` and `~user` as in a shell; left as it is where there is no such home directory."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path.expanduser raises for an unknown user


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
