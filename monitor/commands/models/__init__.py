"""`models`: list the available models, and get, make and test more."""

from dataclasses import dataclass
from typing import ClassVar

from monitor.commands import CommandTable
from monitor.commands.options import CommandOptions, option


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(CommandOptions):
    """Options of `models` without an action."""

    DESCRIPTION = "Lists the models that came with the program and your own, or runs one of the actions."
    EPILOG = (
        "examples:\n"
        "  sound-monitor models                        the available models\n"
        "  sound-monitor models pull                   the models that can be downloaded\n"
        "  sound-monitor models pull convnext-tiny     download a published network\n"
        "  sound-monitor models info convnext-tiny     what it is, and under which licence\n"
    )
    ACTIONS: ClassVar[CommandTable] = {
        "list": ("monitor.commands.models.listing", "list the available models"),
        "info": ("monitor.commands.models.info", "show everything about a model"),
        "pull": ("monitor.commands.models.pull", "download a published model"),
        "import": ("monitor.commands.models.importing", "make a model from a checkpoint on disk"),
        "export": ("monitor.commands.models.export", "make another model from a pulled checkpoint"),
        "quantize": ("monitor.commands.models.quantize", "make an 8-bit model from an available one"),
        "verify": ("monitor.commands.models.verify", "test that a model answers as it should"),
    }

    labels: str | None = option("--labels", metavar="NAME", help="print the classes of this model, one on each line")


def main(options: Options) -> int:
    """List the models, or the classes of one. Raises `ModelError`."""
    from monitor.commands.models.listing import print_labels, print_models

    return print_labels(options.labels) if options.labels else print_models()
