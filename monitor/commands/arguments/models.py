"""What `models` and its actions take."""

import argparse

from monitor.commands.arguments.parser import Commands, Parser, add, add_config, count, seconds
from monitor.zoo.catalogue import FAMILIES

INT8 = """\
--int8 also writes the model with 8-bit weights and activations, as NAME-int8:
a quarter of the size and, on most machines, two to five times as fast. How wide
the numbers inside are is measured on recordings: give a few minutes of what it
will hear, without long silence. Transformers (ast, ced, clap) need none.
"""


def add_models(commands: Commands) -> None:
    """`models`, with its actions."""
    models = add(
        commands,
        "models",
        "list the models at hand, get others, test them",
        "Lists the models that came with the program and your own, or does one of the ACTIONs.",
        epilog="examples:\n"
        "  sound-monitor models                        what is at hand\n"
        "  sound-monitor models pull                   what can be had\n"
        "  sound-monitor models pull convnext-tiny     get a published network\n"
        "  sound-monitor models info convnext-tiny     what it is, and under which licence\n",
    )
    models.add_argument("--labels", metavar="NAME", help="print the classes of this model, one a line")
    actions = models.add_subparsers(dest="action", metavar="ACTION", parser_class=Parser)
    add(actions, "list", "list the models at hand", "Lists the models that came with the program and your own.")
    _add_info(actions)
    _add_pull(actions)
    _add_import(actions)
    _add_export(actions)
    _add_quantize(actions)
    _add_verify(actions)


def _add_info(actions: Commands) -> None:
    info = add(actions, "info", "tell all about a model", "Shows all that a model file says about itself.")
    info.add_argument("model", metavar="NAME|PATH", help="see `sound-monitor models`")


def _add_pull(actions: Commands) -> None:
    pull = add(
        actions,
        "pull",
        "download a published model",
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
    pull.add_argument("names", metavar="NAME", nargs="*", help="what to get; without any, the list")
    _add_form(pull)


def _add_import(actions: Commands) -> None:
    import_ = add(
        actions,
        "import",
        "make a model of a checkpoint on disk",
        "Makes a model file of a checkpoint as its authors published it, or trained by you\n"
        "with their code: a PyTorch file with the state dict, bare or under the key `model`,\n"
        "or safetensors. Tests that it answers as the network does, and installs it among\n"
        "your models, or writes OUT.onnx. Needs the extra 'zoo'.",
        epilog="examples:\n"
        "  sound-monitor models import Cnn14_mAP=0.431.pth --family panns-cnn14\n"
        "  sound-monitor models import mine.pth --family convnext-tiny --name mine --window 2\n"
        "  sound-monitor models import mine.pth --family convnext-tiny --output mine.onnx\n\n" + INT8,
    )
    import_.add_argument("file", metavar="FILE", help="the checkpoint")
    import_.add_argument(
        "--family", metavar="NAME", required=True, choices=FAMILIES, help=f"the network: {', '.join(FAMILIES)}"
    )
    import_.add_argument("--name", help="what to call the model; by default as the output file, or the family")
    _add_output(import_)
    _add_form(import_)


def _add_export(actions: Commands) -> None:
    export = add(
        actions,
        "export",
        "make another model of a pulled checkpoint",
        "Makes a model file of a checkpoint that `models pull` has left in the cache: with\n"
        "another window, or in half precision. Needs the extra 'zoo'.",
        epilog="examples:\n"
        "  sound-monitor models export convnext-tiny --window 2 --name convnext-tiny-2s\n"
        "  sound-monitor models export cnn14 --half --output cnn14-half.onnx\n\n" + INT8,
    )
    export.add_argument("checkpoint", metavar="NAME", help="a name of `models pull`")
    export.add_argument("--name", help="what to call the model; by default as the output file, or NAME")
    _add_output(export)
    _add_form(export)


def _add_quantize(actions: Commands) -> None:
    quantize = add(
        actions,
        "quantize",
        "make an 8-bit model of one at hand",
        "Writes the model with 8-bit weights and activations as NAME-int8, and says how far\n"
        "its answers move on the recordings. Needs the extra 'zoo'.",
        epilog="example:\n  sound-monitor models quantize convnext-tiny --audio kitchen.flac street.flac\n",
    )
    quantize.add_argument("model", metavar="NAME|PATH", help="see `sound-monitor models`")
    quantize.add_argument(
        "--audio",
        metavar="FILE",
        nargs="+",
        required=True,
        help="recordings of what it will hear, a few minutes in all, without long silence: the more like your rooms, "
        "the better",
    )
    _add_output(quantize)


def _add_verify(actions: Commands) -> None:
    verify = add(
        actions,
        "verify",
        "test that a model answers as it should",
        "Compares a model file with what it was made of: with the PyTorch network where its\n"
        "checkpoint is at hand (pulled, or named; needs the extra 'zoo'), and an 8-bit model\n"
        "with its float twin. Tests that a window gets the same answer alone and among\n"
        "others, and times it on this machine. Exit code 65 where something does not hold.",
        epilog="examples:\n"
        "  sound-monitor models verify convnext-tiny --audio kitchen.flac\n"
        "  sound-monitor models verify mine.onnx --checkpoint mine.pth --audio *.wav\n",
    )
    verify.add_argument("model", metavar="NAME|PATH", help="see `sound-monitor models`")
    verify.add_argument("--checkpoint", metavar="FILE", help="compare with the network of this checkpoint")
    verify.add_argument(
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


def add_bench(commands: Commands) -> None:
    """`bench`."""
    bench = add(
        commands,
        "bench",
        "measure the models on this machine",
        "Measures each model at hand, or those that are named: how long it takes to load and\n"
        "to answer, how much memory it needs, what batches bring, and how many streams one\n"
        "core can listen to at the configured hop. The models take turns, so that a machine\n"
        "that slows down does so for all of them.",
        epilog="examples:\n"
        "  sound-monitor bench                                    all models at hand\n"
        "  sound-monitor bench convnext-tiny convnext-tiny-int8   side by side\n"
        "  sound-monitor bench --seconds 30 --json > bench.json\n",
    )
    bench.add_argument("models", metavar="MODEL", nargs="*", help="names or paths; by default all at hand")
    bench.add_argument(
        "--provider", choices=("auto", "cpu", "cuda", "tensorrt", "openvino"), help="default: configured"
    )
    bench.add_argument("--threads", metavar="N", type=count, help="threads of one inference; default: configured")
    bench.add_argument("--hop", metavar="S", type=seconds, help="seconds between two windows; default: configured")
    bench.add_argument("--seconds", metavar="S", type=seconds, default=10.0, help="time for each model; default: 10")
    bench.add_argument("--json", action="store_true", help="print all figures as JSON")
    add_config(bench)
