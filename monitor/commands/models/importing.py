"""`models import`: make a model of a checkpoint on disk."""

from dataclasses import dataclass

from monitor.commands.models.building import INT8, NamedBuildOptions, build_and_print
from monitor.commands.options import option
from monitor.files import expand_home
from monitor.zoo.catalogue import FAMILIES


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(NamedBuildOptions):
    """Options of `models import`."""

    DESCRIPTION = (
        "Makes a model file of a checkpoint as its authors published it, or that you trained\n"
        "with their code: a PyTorch file with the state dict, bare or under the key `model`,\n"
        "or safetensors. Tests that the file answers as the network does, and installs it\n"
        "among your models, or writes OUT.onnx. Requires the extra 'zoo'."
    )
    EPILOG = (
        "examples:\n"
        "  sound-monitor models import Cnn14_mAP=0.431.pth --family panns-cnn14\n"
        "  sound-monitor models import mine.pth --family convnext-tiny --name mine --window 2\n"
        "  sound-monitor models import mine.pth --family convnext-tiny --output mine.onnx\n"
        "  sound-monitor models import mine.pt --family efficientat --labels mine.txt\n\n" + INT8
    )

    file: str = option(metavar="FILE", help="the checkpoint")
    family: str = option(
        "--family",
        metavar="NAME",
        required=True,
        choices=tuple(FAMILIES),
        help=f"the network: {', '.join(FAMILIES)}",
    )
    labels: str | None = option(
        "--labels",
        metavar="LABELS",
        help="the checkpoint's own classes: a file with one name a line, in the order of its outputs",
    )


def main(options: Options) -> int:
    """Make the model. Raises `ModelError`, `UsageError`."""
    from monitor.zoo.make import plan_build

    plan = plan_build(
        options.family,
        options.name,
        output=options.output,
        seconds=options.window,
        half=options.half,
        recordings=options.int8,
        labels=expand_home(options.labels) if options.labels else None,
    )
    build_and_print(plan, expand_home(options.file))
    return 0
