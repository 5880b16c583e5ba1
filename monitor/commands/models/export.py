"""`models export`: another model of a checkpoint that is in the cache."""

from argparse import Namespace

from monitor.commands.models.report import build_and_print
from monitor.errors import ModelError
from monitor.zoo.catalogue import published
from monitor.zoo.make import plan_build


def main(arguments: Namespace) -> int:
    """Make the model; raises `ModelError` if the checkpoint has not been downloaded."""
    checkpoint = published(arguments.checkpoint)
    if not checkpoint.cached.exists():
        raise ModelError(
            f"{checkpoint.cached} does not exist: download it with `sound-monitor models pull {checkpoint.name}`"
        )
    plan = plan_build(
        checkpoint.family,
        arguments.name,
        checkpoint=checkpoint,
        output=arguments.output,
        seconds=arguments.window,
        half=arguments.half,
        recordings=arguments.int8,
    )
    build_and_print(plan, checkpoint.cached)
    return 0
