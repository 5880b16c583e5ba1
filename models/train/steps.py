"""The steps of the recipe, each from the folders that the command line names to what it leaves there."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from .data import corpus
from .data.corpus import Corpus
from .data.events import EVENT_NAMES
from .deliver import Delivered, describe, write
from .learning import pool
from .learning.calibrate import Calibration, calibrate
from .learning.efficientat import SecondTeacher
from .learning.fit import Plan, Trainer
from .learning.fit import fit as train
from .learning.heads import Answered, HeadPlan, embedded, fit_heads
from .learning.targets import Judge, sigmoid
from .learning.teacher import Teacher
from .measuring import beside, figures, home
from .measuring import card as cards
from .measuring.beside import model_listener
from .measuring.evaluate import judge_for, onnx_scorer
from .networks.catalogue import RECIPES, start_from
from .networks.frontend import SAMPLE_RATE
from .networks.network import CLASSES, Network
from .networks.warm import unfold, warm
from .progress import track
from .sounds.augment import RATE

RANGES = 200
"""Windows that the ranges of activations are taken from."""
UNFOLDED = 1_024
"""Windows that the statistics of a network's normalisations are taken from."""


def label(arguments: Namespace) -> None:
    """Draw windows and have both teachers answer them."""
    torch.set_num_threads(arguments.threads)
    recordings = corpus.load(arguments.data, arguments.work, rate=RATE)
    sampler = pool.Sampler(recordings, corpus.rooms(arguments.data, RATE))
    folder = arguments.data / "teacher"
    index, count = arguments.worker
    shards = range(index, arguments.shards, count)
    pool.label(
        sampler, Teacher(folder / "yamnet.tflite"), SecondTeacher(folder), pool_of(arguments), shards, arguments.seed
    )


def fit(arguments: Namespace) -> None:
    """Train one network."""
    recordings, teacher = load(arguments)
    names = corpus.display_names(arguments.data)
    recipe = RECIPES[arguments.network]
    torch.manual_seed(arguments.seed)
    plan = Plan(steps=arguments.steps or recipe.steps, rate=arguments.rate, seed=arguments.seed)
    network = recipe.make()
    if arguments.start:
        warm(network, arguments.start)
        unfold(network.eval(), torch.split(torch.from_numpy(figures.some_windows(recordings, UNFOLDED, plan.seed)), 64))
    elif recipe.start:
        start_from(network, trained(recipe.start, arguments))
    trainer = Trainer(plan, network, pool_of(arguments), judge_of(recordings, names), recordings.is_train)
    judge = judge_for(recordings, names, lambda windows: np.stack([teacher(window)[0] for window in windows]))
    train(trainer, checkpoint_of(arguments.network, arguments), judge, arguments.judge_every)


def heads(arguments: Namespace) -> None:
    """Train the heads of one network anew on the embedding that its model file has."""
    recordings, _ = load(arguments)
    names = corpus.display_names(arguments.data)
    network = RECIPES[arguments.network].make().eval()
    warm(network, arguments.start or Path("models") / f"{arguments.network}.onnx")
    answered = embedded(network, pool_of(arguments), judge_of(recordings, names), recordings.is_train)
    state = fit_heads(network, answered, HeadPlan(seed=arguments.seed))
    torch.save(state, checkpoint_of(arguments.network, arguments))


def export(arguments: Namespace) -> None:
    """Calibrate, write and quantise one network."""
    recordings, teacher = load(arguments)
    names = corpus.display_names(arguments.data)
    recipe, path = RECIPES[arguments.network], arguments.to or Path("models") / f"{arguments.network}.onnx"
    network = trained(arguments.network, arguments)
    judge = judge_of(recordings, names)
    answered = embedded(network, pool_of(arguments), judge, recordings.is_train, doubted=True)
    calibrations = calibrated(network, recordings, teacher, judge, answered)
    state = torch.load(checkpoint_of(arguments.network, arguments), map_location="cpu", weights_only=True)
    measured = json.loads(arguments.figures.read_text(encoding="utf-8")) if arguments.figures else {}
    metadata = describe(path.stem, recipe, names, recordings, arguments.data, state, calibrations, measured)
    ranges = figures.some_windows(recordings, RANGES, arguments.seed)
    difference, small = write(Delivered(network, *calibrations.values()), path, metadata, ranges)
    sizes = f"{path.stat().st_size / 1e6:.2f} MB, and {small.name}: {small.stat().st_size / 1e6:.2f} MB"
    Console().print(f"{path}: within {difference:.1e} of the network, {sizes}")


def evaluate(arguments: Namespace) -> None:
    """Measure a model file."""
    recordings, teacher = load(arguments)
    names = corpus.display_names(arguments.data)
    score = onnx_scorer(arguments.model)
    found = {} if arguments.home else figures.all_figures(score, teacher, recordings, names)
    streams = home.streams(recordings)
    wide = corpus.load(arguments.data, arguments.work, arguments.keep_out, RATE)
    others = beside.teachers(streams, recordings, wide, arguments.data / "teacher", arguments.work, names)
    listen, labels = model_listener(score, recordings), [*names, *EVENT_NAMES]
    own = home.hear(listen, labels, streams, arguments.model.stem)
    found["home"] = {
        **home.facts(own),
        "steadiness": home.steadiness(listen, labels, streams, recordings),
        "models": home.measure({"model": own, **others}, recordings),
    }
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


def calibrated(
    network: Network, recordings: Corpus, teacher: Teacher, judge: Judge, answered: Answered
) -> dict[str, Calibration]:
    """Calibrations of both heads, from the background of the train split and from the pool."""
    logits, targets = [], []
    for stream in track(home.background(recordings, "train"), "calibrate"):
        windows = stream.windows(recordings)
        with torch.inference_mode():
            parts = [network(part)[:2] for part in torch.split(torch.from_numpy(windows), 64)]
        logits.append([torch.cat(head).numpy() for head in zip(*parts, strict=True)])
        scores = sigmoid(np.stack([pool.logit(teacher(window)[0]) for window in windows]))
        targets.append((scores, judge.of_events(scores)))
    with torch.inference_mode():
        of_pool = [head.numpy() for head in network.heads.answer(answered[0].float())]
    wanted = [part.numpy() for part in torch.split(answered[1].float(), [CLASSES, len(EVENT_NAMES)], dim=1)]
    hours = sum(len(heads[0]) for heads in logits) * home.HOP / SAMPLE_RATE / 3_600
    return {
        name: calibrate([each[i] for each in logits], [each[i] for each in targets], hours, (of_pool[i], wanted[i]))
        for i, name in enumerate(("classes", "events"))
    }


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
    """Where the windows are kept: a run that keeps recordings out leaves out those windows that hold them."""
    return Path(arguments.work / "pool")


def checkpoint_of(name: str, arguments: Namespace) -> Path:
    """Where a network trained on this selection of recordings is kept."""
    return Path(arguments.work / f"{name}{suffix(arguments)}.pt")


def suffix(arguments: Namespace) -> str:
    """Tells the files of a run with recordings kept out from those of one with all."""
    return "-held-out" if arguments.keep_out else ""
