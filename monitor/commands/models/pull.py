"""`models pull`: published checkpoints, downloaded and made into models."""

import difflib
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from rich.progress import DownloadColumn, TransferSpeedColumn

from monitor.commands.models.making import make
from monitor.commands.models.orders import ordered
from monitor.commands.models.places import checkpoints, short
from monitor.commands.output import print_table, progress_bar
from monitor.errors import DownloadError, UsageError
from monitor.zoo.build.download import download
from monitor.zoo.catalogue import CHECKPOINTS, Checkpoint


def main(arguments: Namespace) -> int:
    """Get all of them, or list what can be had; raises the error of the first that fails."""
    wanted = [published(name) for name in arguments.names]
    if not wanted:
        _list()
        return 0
    orders = [
        ordered(arguments, one.family, one.name, licence=one.licence, source=one.source) for one in wanted
    ]  # what cannot be done is said before anything is downloaded
    for checkpoint, order in zip(wanted, orders, strict=True):
        make(order, fetch(checkpoint))
    return 0


def published(name: str) -> Checkpoint:
    """The checkpoint of this name. Raises `UsageError` that names what there is."""
    if name in CHECKPOINTS:
        return CHECKPOINTS[name]
    near = difflib.get_close_matches(name, CHECKPOINTS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(CHECKPOINTS)}"
    raise UsageError(f"there is no published model called {name!r}; {hint}")


def fetch(checkpoint: Checkpoint) -> Path:
    """The file in the cache, downloaded unless it is there. Raises `DownloadError`, `ModelError`, `StorageError`."""
    path = cached(checkpoint)
    try:
        for address in checkpoint.beside:
            _fetch(address, path.with_name(PurePosixPath(address).name))
        _fetch(checkpoint.address, path, checkpoint.size, checkpoint.digest)
    except DownloadError as error:
        raise DownloadError(
            f"{error}\nA copy from elsewhere does as well: "
            f"sound-monitor models import FILE --family {checkpoint.family} --name {checkpoint.name}"
        ) from error
    return path


def _fetch(address: str, path: Path, size: int | None = None, digest: str | None = None) -> None:
    if not path.exists():
        with progress_bar(path.name, DownloadColumn(), TransferSpeedColumn()) as progress:
            download(address, path, size, digest, progress)


def cached(checkpoint: Checkpoint) -> Path:
    """Where its file is kept, in a folder of its own."""
    return checkpoints() / checkpoint.name / checkpoint.file


def _list() -> None:
    rows: Sequence[Sequence[str]] = [
        (one.name, one.family, one.licence, one.source, short(cached(one)) if cached(one).exists() else "")
        for one in CHECKPOINTS.values()
    ]
    print_table(("name", "family", "licence", "source", "downloaded"), rows)
    print("get one: sound-monitor models pull NAME", file=sys.stderr)
