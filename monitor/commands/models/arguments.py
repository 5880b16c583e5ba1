"""Options of the actions whose modules do not define `Options` themselves."""

import argparse
import importlib

from monitor.commands.options import seconds
from monitor.commands.parser import Parser
from monitor.zoo.catalogue import FAMILIES

INT8 = """\
--int8 also writes the model with 8-bit weights and activations, as NAME-int8:
a quarter of the size and, on most machines, two to five times as fast. How wide
the numbers inside are is measured on recordings: give a few minutes of what it
will hear, without long silence. Transformers (ast, ced, clap) need none.
"""


def _describe(parser: Parser, module: str, description: str, epilog: str = "") -> None:
    parser.description, parser.epilog = description, epilog
    parser.set_defaults(
        main=lambda chosen: importlib.import_module(f"monitor.commands.models.{module}").main(_complete(chosen))
    )


def _complete(chosen: argparse.Namespace) -> argparse.Namespace:
    """The namespace with the options that were not given."""
    absent: dict[str, object] = dict.fromkeys(("labels", "output", "name", "window", "int8", "checkpoint"))
    absent |= {"names": [], "half": False, "audio": []}
    return argparse.Namespace(**(absent | vars(chosen)))


def listing(parser: Parser) -> None:
    """Options of `models list`."""
    _describe(parser, "listing", "Lists the models that came with the program and your own.")


def info(parser: Parser) -> None:
    """Options of `models info`."""
    _describe(parser, "info", "Shows all that a model file says about itself.")
    parser.add_argument("model", metavar="NAME|PATH", help="see `sound-monitor models`")


def pull(parser: Parser) -> None:
    """Options of `models pull`."""
    _describe(
        parser,
        "pull",
        "Downloads the published checkpoint, makes a model file of it, tests that it\n"
        "answers as the network does, and installs it among your models. Without a NAME it\n"
        "lists what can be had. Needs the extra 'zoo'.\n\n"
        "A download that broke off goes on where it stopped. The checkpoint stays in\n"
        "~/.cache/sound-monitor/checkpoints, for `models export` and `models verify`;\n"
        "delete it as you like.",
        epilog="examples:\n"
        "  sound-monitor models pull convnext-tiny ced-mini\n"
        "  sound-monitor models pull cnn14 --int8 kitchen.flac street.flac\n\n" + INT8,
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="what to get; without any, the list")
    _add_form(parser)


def import_(parser: Parser) -> None:
    """Options of `models import`."""
    _describe(
        parser,
        "importing",
        "Makes a model file of a checkpoint as its authors published it, or trained by you\n"
        "with their code: a PyTorch file with the state dict, bare or under the key `model`,\n"
        "or safetensors. Tests that it answers as the network does, and installs it among\n"
        "your models, or writes OUT.onnx. Needs the extra 'zoo'.",
        epilog="examples:\n"
        "  sound-monitor models import Cnn14_mAP=0.431.pth --family panns-cnn14\n"
        "  sound-monitor models import mine.pth --family convnext-tiny --name mine --window 2\n"
        "  sound-monitor models import mine.pth --family convnext-tiny --output mine.onnx\n\n" + INT8,
    )
    parser.add_argument("file", metavar="FILE", help="the checkpoint")
    parser.add_argument(
        "--family", metavar="NAME", required=True, choices=FAMILIES, help=f"the network: {', '.join(FAMILIES)}"
    )
    parser.add_argument("--name", help="what to call the model; by default as the output file, or the family")
    _add_output(parser)
    _add_form(parser)


def export(parser: Parser) -> None:
    """Options of `models export`."""
    _describe(
        parser,
        "export",
        "Makes a model file of a checkpoint that `models pull` has left in the cache: with\n"
        "another window, or in half precision. Needs the extra 'zoo'.",
        epilog="examples:\n"
        "  sound-monitor models export convnext-tiny --window 2 --name convnext-tiny-2s\n"
        "  sound-monitor models export cnn14 --half --output cnn14-half.onnx\n\n" + INT8,
    )
    parser.add_argument("checkpoint", metavar="NAME", help="a name of `models pull`")
    parser.add_argument("--name", help="what to call the model; by default as the output file, or NAME")
    _add_output(parser)
    _add_form(parser)


def quantize(parser: Parser) -> None:
    """Options of `models quantize`."""
    _describe(
        parser,
        "quantize",
        "Writes the model with 8-bit weights and activations as NAME-int8, and says how far\n"
        "its answers move on the recordings. Needs the extra 'zoo'.",
        epilog="example:\n  sound-monitor models quantize convnext-tiny --audio kitchen.flac street.flac\n",
    )
    parser.add_argument("model", metavar="NAME|PATH", help="see `sound-monitor models`")
    parser.add_argument(
        "--audio",
        metavar="FILE",
        nargs="+",
        required=True,
        help="recordings of what it will hear, a few minutes in all, without long silence: the more like your rooms, "
        "the better",
    )
    _add_output(parser)


def verify(parser: Parser) -> None:
    """Options of `models verify`."""
    _describe(
        parser,
        "verify",
        "Compares a model file with what it was made of: with the PyTorch network where its\n"
        "checkpoint is at hand (pulled, or named; needs the extra 'zoo'), and an 8-bit model\n"
        "with its float twin. Tests that a window gets the same answer alone and among\n"
        "others, and times it on this machine. Exit code 65 where something does not hold.",
        epilog="examples:\n"
        "  sound-monitor models verify convnext-tiny --audio kitchen.flac\n"
        "  sound-monitor models verify mine.onnx --checkpoint mine.pth --audio *.wav\n",
    )
    parser.add_argument("model", metavar="NAME|PATH", help="see `sound-monitor models`")
    parser.add_argument("--checkpoint", metavar="FILE", help="compare with the network of this checkpoint")
    parser.add_argument(
        "--audio",
        metavar="FILE",
        nargs="+",
        default=[],
        help="recordings to compare on; by default a synthesised scene",
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output", metavar="OUT.onnx", help="write this file instead of installing it among your models"
    )


def _add_form(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--window", metavar="S", type=seconds, help="seconds that it hears at once, where they can vary"
    )
    parser.add_argument("--half", action="store_true", help="in half precision (fp16), for a GPU")
    parser.add_argument("--int8", metavar="AUDIO", nargs="*", help="also as 8-bit model, measured on these recordings")
