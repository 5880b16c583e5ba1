"""`models pull`: published checkpoints, downloaded and made into models."""

import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from rich.progress import DownloadColumn, TransferSpeedColumn

from monitor.commands.models.report import build_and_print, short
from monitor.commands.output import print_table, progress_bar
from monitor.zoo.catalogue import CHECKPOINTS, published
from monitor.zoo.make import fetch, plan_build


def main(arguments: Namespace) -> int:
    """Get all named models, or list what is available; raises the error of the first that fails."""
    wanted = [published(name) for name in arguments.names]
    if not wanted:
        _list()
        return 0
    plans = [
        plan_build(
            one.family,
            None,
            checkpoint=one,
            seconds=arguments.window,
            half=arguments.half,
            recordings=arguments.int8,
        )
        for one in wanted
    ]  # all mistakes are reported before anything is downloaded
    for checkpoint, plan in zip(wanted, plans, strict=True):
        build_and_print(plan, fetch(checkpoint, _downloading))
    return 0


def _downloading(name: str) -> AbstractContextManager[Callable[[int, int | None], None]]:
    return progress_bar(name, DownloadColumn(), TransferSpeedColumn())


def _list() -> None:
    rows: Sequence[Sequence[str]] = [
        (one.name, one.family, one.licence, one.source, short(one.cached) if one.cached.exists() else "")
        for one in CHECKPOINTS.values()
    ]
    print_table(("name", "family", "licence", "source", "downloaded"), rows)
    print("get one: sound-monitor models pull NAME", file=sys.stderr)
