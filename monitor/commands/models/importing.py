"""`models import`: a model of a checkpoint on disk."""

from argparse import Namespace

from monitor.commands.models.report import build_and_print
from monitor.files import expand_home
from monitor.zoo.make import plan_build


def main(arguments: Namespace) -> int:
    """Make the model; raises `ModelError`, `UsageError`."""
    plan = plan_build(
        arguments.family,
        arguments.name,
        output=arguments.output,
        seconds=arguments.window,
        half=arguments.half,
        recordings=arguments.int8,
    )
    build_and_print(plan, expand_home(arguments.file))
    return 0
