"""The command line: `python -m models.train label | fit | export | evaluate | card`, also `script/train`."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from monitor.errors import MonitorError

from . import steps
from .learning.pool import SHARD
from .networks.catalogue import RECIPES

ABOUT = """\
Make the bundled sound event models from recordings and two teachers.

The data folder (--data) holds manifest.csv, the recordings it lists, rooms.csv with the impulse
responses it lists, and in teacher/: yamnet.tflite (float32 [1, 15600] in, 521 scores out),
yamnet_class_map.csv, efficientat_mn04_as.pt and audioset527.csv. manifest.csv has one row a
recording: path, source, original_path, licence, label (ESC-50 class or empty), split (train or
val), fold (ESC-50, else 0), seconds, kind (event, bg-speech, bg-music or bg-ambience). More
recordings: add rows.

In order:
  1. label     draw augmented windows and let both teachers answer each   (150 windows/s a core)
  2. fit       train a network on them                                     (550 windows/s a core)
     heads     or only what an exported network answers to its embedding   (minutes)
  3. export    calibrate, write as self-describing ONNX, quantise
  4. evaluate  measure a model file
  5. card      make the tables of its model card anew

Networks: branch, then lean and convnext, which start from it. Every step but heads can be stopped
with Ctrl-C and started again: it goes on where it was. A GPU is used where torch finds one.

For honest figures, train once more with --keep-out, given to every step but label: an ESC-50 fold,
or a source. What it names is not trained on, but measured on.
"""

POOL = """
The first run decodes all audio (four minutes for 17 hours). A shard takes about fifteen seconds and
74 MB of disk. Training may begin while labelling goes on.
"""
FIT = """
bf16 on a CPU, AdamW, a cosine that ends on the last step, running average of the weights. A
checkpoint every 200 steps; figures on what is held out go to NETWORK.jsonl in the work folder.
Started again it resumes; with other --steps the cosine's end moves.
"""
HEADS = """
Minutes instead of hours: what the network hears stays as it is. Writes the checkpoint that export
takes.
"""
EXPORT = """
Takes the averaged weights of the checkpoint, calibrates them on the background of the train split
to 0.05 false alarms an hour, and writes the float model only if ONNX Runtime answers as the network
does, within 1e-5; then the int8 one.
"""
EVALUATE = """
First of all what a model finds in a home at how many false alarms an hour of speech, music and
ambience, beside YAMNet, mn04 and their mean on the same windows. Then ESC-50 read through AudioSet
names, through the events head and by a linear probe; named sounds of other sources; agreement with
the teacher; generated alarms, sirens, chimes and knocks; silence; and time beside the teacher. Only
recordings of the val split, and what --keep-out adds to it.
"""
CARD = """
What stands between <!-- NAME --> and <!-- end --> in the file is made here from what evaluate wrote:
held-out and named of a run that held ESC-50 out; files, sounds and false-alarms of the files that
are delivered. And sources, from the manifest. The prose around stays.
"""


def main() -> int:
    """Parse, run one step, and turn an interruption into a plain exit."""
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell started us deaf to Ctrl-C
        signal.signal(number, signal.default_int_handler)
    arguments = parser().parse_args()
    try:
        run: Callable[[argparse.Namespace], None] = arguments.run
        run(arguments)
    except KeyboardInterrupt:
        Console(stderr=True).print("Stopped. The same command goes on from here.")
        return 130
    except (MonitorError, FileNotFoundError) as error:
        print(f"models.train: {error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    formatter = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(prog="script/train", description=ABOUT, formatter_class=formatter)
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--data", type=Path, required=True, metavar="DIR", help="recordings, manifest.csv, teacher/")
    common.add_argument(
        "--work", type=Path, default=Path("build/train"), metavar="DIR",
        help="pool, checkpoints and figures; default %(default)s",
    )  # fmt: skip
    common.add_argument(
        "--keep-out", action="append", default=[], metavar="NAME", help="a source or an ESC-50 fold to measure on"
    )
    common.add_argument("--threads", type=int, default=1, help="torch threads; default %(default)s")
    common.add_argument("--seed", type=int, default=7, help="default %(default)s")

    def command(name: str, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(
            name, help=text.splitlines()[0], description=text, formatter_class=formatter, parents=[common]
        )
        added.set_defaults(run=run)
        return added

    step = command("label", steps.label, "Draw augmented windows and let both teachers answer each.\n" + POOL)
    step.add_argument("--shards", type=int, default=110, help=f"of {SHARD} windows each; default %(default)s")
    step.add_argument(
        "--worker", type=worker, default=(0, 1), metavar="I/N",
        help="make only every Nth shard, from the Ith on: start N processes, 0/N to N-1/N",
    )  # fmt: skip
    step = command("fit", steps.fit, "Train a network on the pool.\n" + FIT)
    step.add_argument("network", choices=RECIPES, help="what to train")
    step.add_argument("--steps", type=int, help="of 192 windows; default: as the network needs")
    step.add_argument("--start", type=Path, metavar="FILE", help="go on from what an exported float file hears")
    step.add_argument("--rate", type=float, default=3e-3, help="peak learning rate; default %(default)s")
    step.add_argument("--judge-every", type=int, default=1_500, metavar="STEPS", help="default %(default)s")
    step = command("heads", steps.heads, "Train a network's heads alone, on the embedding of its model file.\n" + HEADS)
    step.add_argument("network", choices=("lean", "convnext"), help="whose heads")
    step.add_argument("--start", type=Path, metavar="FILE", help="a float file; default models/NETWORK.onnx")
    step = command("export", steps.export, "Write a trained network as ONNX files.\n" + EXPORT)
    step.add_argument("network", choices=RECIPES, help="what to export")
    step.add_argument("--to", type=Path, metavar="FILE", help="default models/NETWORK.onnx")
    step.add_argument("--figures", type=Path, help="JSON from evaluate, kept in the file's training facts")
    step = command("evaluate", steps.evaluate, "Measure a model file.\n" + EVALUATE)
    step.add_argument("model", type=Path, help="an exported file")
    step.add_argument("--home", action="store_true", help="only what it finds in a home, and how often it misfires")
    step.add_argument("--out", type=Path, help="also write the figures to this JSON file")
    step = command("card", steps.card, "Make the tables of a model card anew.\n" + CARD)
    step.add_argument("card", type=Path, help="a Markdown file")
    step.add_argument(
        "--figures", type=measured, action="append", default=[], metavar="NAME=FILE",
        help="JSON from evaluate, and the name of its column; may be given again",
    )  # fmt: skip
    return top


def measured(text: str) -> tuple[str, Path]:
    """`NAME=FILE` as a name and a path."""
    name, equals, path = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text}: is not NAME=FILE")
    return name, Path(path)


def worker(text: str) -> tuple[int, int]:
    """`I/N` as two numbers."""
    index, count = (int(part) for part in text.split("/"))
    if not 0 <= index < count:
        raise argparse.ArgumentTypeError(f"{text}: I must be from 0 to N-1")
    return index, count


if __name__ == "__main__":
    raise SystemExit(main())
