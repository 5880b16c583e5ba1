"""The command line: `python -m models.train label | fit | export | evaluate`."""

from __future__ import annotations

import argparse
import json
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from . import corpus, evaluate, fit, pool
from .augment import Samples
from .describe import describe
from .export import export_student
from .network import Student
from .teacher import Teacher

ABOUT = """\
Make the bundled sound event model from recordings and a teacher.

The data folder (--data) holds manifest.csv, the recordings it lists, and the teacher:
teacher/yamnet.tflite (float32 [1, 15600] in, 521 scores out) and teacher/yamnet_class_map.csv.
manifest.csv has one row a recording: path, source, original_path, licence, label (ESC-50 class
or empty), split (train or val), fold (ESC-50, else 0), seconds.

Needs, beside the monitor's own packages: torch, scipy, soundfile, soxr, onnx, onnxscript,
onnxruntime, ai-edge-litert. The versions that made a file stand in its metadata.

In order:
  1. label     draw augmented windows and let the teacher score each one   (430 windows/s a core)
  2. fit       train the student on them                                   (480 windows/s a core)
  3. export    write the averaged weights as one self-describing ONNX file
  4. evaluate  measure that file

Every step can be stopped with Ctrl-C and started again: it goes on where it was.
"""

POOL = """
The first run decodes all audio (half a minute) and lets the teacher survey it (a minute), so
that rare sounds can be drawn more often. A shard takes about five seconds and 32 MB of disk.
Training may begin while labelling goes on.
"""
FIT = """
bf16, AdamW, a cosine that ends on the last step, running average of the weights. A checkpoint
every 200 steps; figures go to fit.jsonl in the work folder. Started again it resumes; with other
--steps the cosine's end moves.
"""
EXPORT = """
Takes the averaged weights of the checkpoint. The file is written only if ONNX Runtime answers as
the network does, within 1e-5.
"""
EVALUATE = """
ESC-10 and ESC-50 read through AudioSet names (folds 1 to 3, whose audio the student trained on),
agreement with the teacher on held-out recordings, generated alarms, sirens, chimes and knocks,
false alarms, silence, and time beside the teacher. The teacher's own figures stand next to the
model's.
"""


def main() -> int:
    """Parse, run one step, and turn an interruption into a plain exit."""
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell started us deaf to Ctrl-C
        signal.signal(number, signal.default_int_handler)
    arguments = parser().parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.work.mkdir(parents=True, exist_ok=True)
    try:
        run: Callable[[argparse.Namespace], None] = arguments.run
        run(arguments)
    except KeyboardInterrupt:
        Console(stderr=True).print("Stopped. The same command goes on from here.")
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    formatter = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(prog="python -m models.train", description=ABOUT, formatter_class=formatter)
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text.splitlines()[0], description=text, formatter_class=formatter)
        added.set_defaults(run=run)
        added.add_argument("--data", type=Path, required=True, metavar="DIR", help="recordings, manifest.csv, teacher/")
        added.add_argument(
            "--work", type=Path, default=Path("build/train"), metavar="DIR",
            help="pool, checkpoint and figures; default %(default)s",
        )  # fmt: skip
        added.add_argument("--threads", type=int, default=1, help="torch threads; default %(default)s")
        added.add_argument("--seed", type=int, default=7, help="default %(default)s")
        return added

    step = command("label", label_pool, "Draw augmented windows and let the teacher score each one.\n" + POOL)
    step.add_argument("--shards", type=int, default=280, help=f"of {pool.SHARD} windows each; default %(default)s")
    step.add_argument(
        "--worker", type=worker, default=(0, 1), metavar="I/N",
        help="make only every Nth shard, from the Ith on: start N processes, 0/N to N-1/N",
    )  # fmt: skip
    step = command("fit", fit_student, "Train the student on the pool.\n" + FIT)
    step.add_argument("--steps", type=int, default=10_000, help="of 192 windows; default %(default)s")
    step.add_argument("--judge-every", type=int, default=500, metavar="STEPS", help="default %(default)s")
    step = command("export", export_best, "Write the trained student as an ONNX file.\n" + EXPORT)
    step.add_argument("--to", type=Path, default=Path("models/resnet-mini.onnx"), help="default %(default)s")
    step.add_argument("--figures", type=Path, help="JSON from evaluate, kept in the file's training facts")
    step = command("evaluate", evaluate_file, "Measure a model file.\n" + EVALUATE)
    step.add_argument("--model", type=Path, default=Path("models/resnet-mini.onnx"), help="default %(default)s")
    step.add_argument("--out", type=Path, help="also write the figures to this JSON file")
    return top


def worker(text: str) -> tuple[int, int]:
    """`I/N` as two numbers."""
    index, count = (int(part) for part in text.split("/"))
    if not 0 <= index < count:
        raise argparse.ArgumentTypeError(f"{text}: I must be from 0 to N-1")
    return index, count


def load_teacher(arguments: argparse.Namespace) -> Teacher:
    return Teacher(arguments.data / "teacher" / "yamnet.tflite")


def teacher_scores(teacher: Teacher, windows: Samples) -> Samples:
    """Scores [n, 521] of windows [n, 15600]."""
    return np.stack([teacher(window)[0] for window in windows])


def label_pool(arguments: argparse.Namespace) -> None:
    """The `label` command."""
    recordings, teacher = corpus.load(arguments.data, arguments.work), load_teacher(arguments)
    sampler = pool.Sampler(recordings, pool.survey(recordings, teacher, arguments.work))
    index, count = arguments.worker
    shards = range(index, arguments.shards, count)
    names = corpus.display_names(arguments.data)
    pool.label(sampler, teacher, names, arguments.work / "pool", shards, arguments.seed)


def fit_student(arguments: argparse.Namespace) -> None:
    """The `fit` command."""
    recordings, teacher = corpus.load(arguments.data, arguments.work), load_teacher(arguments)
    names = corpus.display_names(arguments.data)
    judge = evaluate.judge_for(recordings, names, lambda windows: teacher_scores(teacher, windows))
    plan = fit.Plan(steps=arguments.steps, seed=arguments.seed)
    fit.fit(plan, arguments.work, judge, arguments.judge_every)


def export_best(arguments: argparse.Namespace) -> None:
    """The `export` command."""
    checkpoint = arguments.work / "student.pt"
    state = torch.load(checkpoint, weights_only=True)
    student = Student()
    student.load_state_dict(state["averaged"])
    figures = json.loads(arguments.figures.read_text()) if arguments.figures else {}
    recordings = corpus.load(arguments.data, arguments.work)
    names = corpus.display_names(arguments.data)
    metadata = describe(arguments.to.stem, names, recordings, arguments.data, state, figures)
    difference = export_student(student.eval(), arguments.to, metadata)
    Console().print(
        f"{arguments.to}: {arguments.to.stat().st_size / 1e6:.2f} MB, within {difference:.1e} of the network"
    )


def evaluate_file(arguments: argparse.Namespace) -> None:
    """The `evaluate` command."""
    recordings, teacher = corpus.load(arguments.data, arguments.work), load_teacher(arguments)
    names = corpus.display_names(arguments.data)
    score = evaluate.onnx_scorer(arguments.model)
    figures = evaluate.all_figures(score, teacher, recordings, names)
    text = json.dumps(figures, indent=2)
    Console().print_json(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
