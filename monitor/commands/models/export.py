"""`models export`: another model of a checkpoint that is in the cache."""

from argparse import Namespace

from monitor.commands.models.making import make
from monitor.commands.models.orders import ordered
from monitor.commands.models.pull import cached, published
from monitor.errors import ModelError


def main(arguments: Namespace) -> int:
    """Make the model; raises `ModelError` where the checkpoint has not been downloaded."""
    checkpoint = published(arguments.checkpoint)
    path = cached(checkpoint)
    if not path.exists():
        raise ModelError(f"{path} is not there: get it by `sound-monitor models pull {checkpoint.name}`")
    make(
        ordered(arguments, checkpoint.family, checkpoint.name, licence=checkpoint.licence, source=checkpoint.source),
        path,
    )
    return 0
