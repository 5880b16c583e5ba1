"""`models import`: a model of a checkpoint that is on disk."""

from argparse import Namespace
from pathlib import Path

from monitor.commands.models.making import make
from monitor.commands.models.orders import ordered


def main(arguments: Namespace) -> int:
    """Make the model; raises `ModelError`, `UsageError`."""
    make(ordered(arguments, arguments.family, arguments.family), Path(arguments.file).expanduser())
    return 0
