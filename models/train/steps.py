"""The steps of the recipe, each from the folders that the command line names to what it leaves there."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from .data import corpus
from .data.corpus import Corpus
from .deliver import Delivered, describe, write
from .learning import pool
from .learning.calibrate import Calibration, calibrate
from .learning.fit import Plan, Trainer
from .learning.fit import fit as train
from .learning.targets import Judge
from .learning.teacher import Teacher
from .measuring import card as cards
from .measuring import figures
from .measuring.evaluate import judge_for, onnx_scorer
from .networks.catalogue import RECIPES, start_from
from .networks.network import Network
from .sounds.augment import Samples

RANGES = 200
"""Windows that the ranges of activations are taken from."""


def label(arguments: Namespace) -> None:
    """Draw windows and have the teacher score them."""
    recordings, teacher = load(arguments)
    sampler = pool.Sampler(recordings, pool.survey(recordings, teacher, arguments.work))
    index, count = arguments.worker
    pool.label(sampler, teacher, pool_of(arguments), range(index, arguments.shards, count), arguments.seed)


def fit(arguments: Namespace) -> None:
    """Train one network."""
    recordings, teacher = load(arguments)
    names = corpus.display_names(arguments.data)
    recipe = RECIPES[arguments.network]
    torch.manual_seed(arguments.seed)
    network = recipe.make()
    if recipe.start:
        start_from(network, trained(recipe.start, arguments))
    plan = Plan(steps=arguments.steps or recipe.steps, seed=arguments.seed)
    trainer = Trainer(plan, network, pool_of(arguments), judge_of(recordings, names))
    judge = judge_for(recordings, names, lambda windows: np.stack([teacher(window)[0] for window in windows]))
    train(trainer, checkpoint_of(arguments.network, arguments), judge, arguments.judge_every)


def export(arguments: Namespace) -> None:
    """Calibrate, write and quantise one network."""
    recordings, teacher = load(arguments)
    names = corpus.display_names(arguments.data)
    recipe, path = RECIPES[arguments.network], arguments.to or Path("models") / f"{arguments.network}.onnx"
    network = trained(arguments.network, arguments)
    own = replace(recordings, clips=corpus.read_manifest(arguments.data))  # what is kept out is measured on alone
    windows, targets = figures.held_out(own, judge_of(own, names), teacher)
    calibrations = calibrated(network, windows, targets)
    state = torch.load(checkpoint_of(arguments.network, arguments), map_location="cpu", weights_only=True)
    measured = json.loads(arguments.figures.read_text(encoding="utf-8")) if arguments.figures else {}
    metadata = describe(path.stem, recipe, names, recordings, arguments.data, state, calibrations, measured)
    chosen = np.random.default_rng(arguments.seed).choice(len(windows), RANGES, replace=False)
    difference, small = write(Delivered(network, *calibrations.values()), path, metadata, windows[chosen])
    sizes = f"{path.stat().st_size / 1e6:.2f} MB, and {small.name}: {small.stat().st_size / 1e6:.2f} MB"
    Console().print(f"{path}: within {difference:.1e} of the network, {sizes}")


def evaluate(arguments: Namespace) -> None:
    """Measure a model file."""
    recordings, teacher = load(arguments)
    names = corpus.display_names(arguments.data)
    found = figures.all_figures(onnx_scorer(arguments.model), teacher, recordings, names)
    text = json.dumps(found, indent=2)
    Console().print_json(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


def card(arguments: Namespace) -> None:
    """Make the tables of a model card anew."""
    recordings = corpus.load(arguments.data, arguments.work, arguments.keep_out)
    measured = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in arguments.figures}
    blocks = cards.blocks(measured, recordings)
    text = arguments.card.read_text(encoding="utf-8")
    arguments.card.write_text(cards.fill(text, blocks), encoding="utf-8")


def calibrated(network: Network, windows: Samples, targets: tuple[Samples, Samples]) -> dict[str, Calibration]:
    """Calibrations of both heads, from held-out windows and what they ought to answer."""
    parts = []
    with torch.inference_mode():
        for batch in torch.split(torch.from_numpy(windows), 64):
            parts.append([logits.numpy() for logits in network(batch)[:2]])
    logits = (np.concatenate(column) for column in zip(*parts, strict=True))
    found = [calibrate(given, wanted) for given, wanted in zip(logits, targets, strict=True)]
    return dict(zip(("classes", "events"), found, strict=True))


def trained(name: str, arguments: Namespace) -> Network:
    """The averaged network of a checkpoint."""
    path = checkpoint_of(name, arguments)
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there: run `fit {name}` first")
    network = RECIPES[name].make()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["averaged"])
    return network.eval()


def load(arguments: Namespace) -> tuple[Corpus, Teacher]:
    """The recordings and the teacher; torch kept to its threads."""
    torch.set_num_threads(arguments.threads)
    recordings = corpus.load(arguments.data, arguments.work, arguments.keep_out)
    return recordings, Teacher(arguments.data / "teacher" / "yamnet.tflite")


def judge_of(recordings: Corpus, names: list[str]) -> Judge:
    """What makes targets of the teacher's scores."""
    return Judge(names, [clip.event for clip in recordings.clips])


def pool_of(arguments: Namespace) -> Path:
    """Where the windows of this selection of recordings are kept."""
    return Path(arguments.work / f"pool{suffix(arguments)}")


def checkpoint_of(name: str, arguments: Namespace) -> Path:
    """Where a network trained on this selection of recordings is kept."""
    return Path(arguments.work / f"{name}{suffix(arguments)}.pt")


def suffix(arguments: Namespace) -> str:
    """Tells the files of a run with recordings kept out from those of one with all."""
    return "-held-out" if arguments.keep_out else ""
