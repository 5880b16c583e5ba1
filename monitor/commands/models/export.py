"""`models export`: make another model of a checkpoint in the cache."""

import os
from dataclasses import dataclass

from monitor.commands.models.building import INT8, NamedBuildOptions, build_and_print
from monitor.commands.options import option
from monitor.errors import ModelError


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(NamedBuildOptions):
    """Options of `models export`."""

    DESCRIPTION = (
        "Makes a model file of a checkpoint that `models pull` left in the cache: with\n"
        "another window, or in half precision. Requires the extra 'zoo'."
    )
    EPILOG = (
        "examples:\n"
        "  sound-monitor models export convnext-tiny --window 2 --name convnext-tiny-2s\n"
        "  sound-monitor models export cnn14 --half --output cnn14-half.onnx\n\n" + INT8
    )

    checkpoint: str = option(metavar="NAME", help="a name of `models pull`")


def main(options: Options) -> int:
    """Make the model. Raises `ModelError` if the checkpoint has not been downloaded."""
    from monitor.zoo.catalogue import published
    from monitor.zoo.make import plan_build

    checkpoint = published(options.checkpoint)
    if not os.access(checkpoint.cached, os.F_OK):
        raise ModelError(
            f"{checkpoint.cached} does not exist: download it with `sound-monitor models pull {checkpoint.name}`"
        )
    plan = plan_build(
        checkpoint.family,
        options.name,
        checkpoint=checkpoint,
        output=options.output,
        seconds=options.window,
        half=options.half,
        recordings=options.int8,
    )
    build_and_print(plan, checkpoint.cached)
    return 0
