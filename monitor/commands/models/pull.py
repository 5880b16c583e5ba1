"""`models pull`: download published checkpoints, and make models of them."""

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from monitor.commands.models.building import INT8, BuildOptions, build_and_print
from monitor.commands.options import option


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(BuildOptions):
    """Options of `models pull`."""

    DESCRIPTION = (
        "Downloads the published checkpoint, makes a model file of it, tests that the file\n"
        "answers as the network does, and installs it among your models. Without a NAME it\n"
        "lists the published models. Requires the extra 'zoo'.\n\n"
        "An interrupted download resumes. The checkpoint stays in\n"
        "~/.cache/sound-monitor/checkpoints, for `models export` and `models verify`; you\n"
        "can delete it."
    )
    EPILOG = (
        "examples:\n"
        "  sound-monitor models pull convnext-tiny ced-mini\n"
        "  sound-monitor models pull cnn14 --int8 kitchen.flac street.flac\n\n" + INT8
    )

    names: tuple[str, ...] = option(metavar="NAME", nargs="*", default=(), help="what to get; without any, the list")


def main(options: Options) -> int:
    """Get all named models, or list the published ones. Raises the error of the first that fails."""
    from monitor.zoo.catalogue import published
    from monitor.zoo.make import fetch, plan_build

    wanted = [published(name) for name in options.names]
    if not wanted:
        _list()
        return 0
    plans = [
        plan_build(
            one.family, checkpoint=one, seconds=options.window, half=options.half, recordings=options.int8
        )  # all mistakes are reported before anything is downloaded
        for one in wanted
    ]
    for checkpoint, plan in zip(wanted, plans, strict=True):
        build_and_print(plan, fetch(checkpoint, _download_bar))
    return 0


def _download_bar(name: str) -> AbstractContextManager[Callable[[int, int | None], None]]:
    from rich.progress import DownloadColumn, TransferSpeedColumn

    from monitor.commands.output import progress_bar

    return progress_bar(name, DownloadColumn(), TransferSpeedColumn())


def _list() -> None:
    from monitor.commands.output import print_table, short_path
    from monitor.zoo.catalogue import CHECKPOINTS

    rows: list[tuple[str, ...]] = []
    for one in CHECKPOINTS.values():
        downloaded = short_path(one.cached) if os.access(one.cached, os.F_OK) else ""
        rows.append((one.name, one.family, one.licence, one.source, downloaded))
    print_table(("name", "family", "licence", "source", "downloaded"), rows)
    print("get one: sound-monitor models pull NAME", file=sys.stderr)
