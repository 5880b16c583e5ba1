"""Every family as a user meets it: a checkpoint is imported, then used by `analyze` and by `run`."""

import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from soxr import resample
from torch import nn
from transformers import ASTConfig, ASTForAudioClassification

from monitor.__main__ import main
from monitor.zoo.build.checkpoint import load_strict
from monitor.zoo.build.export import network_answers
from monitor.zoo.catalogue import FAMILIES, load_family
from monitor.zoo.families.cnn14 import Cnn14, WavegramLogmelCnn14
from monitor.zoo.families.convnext import ConvNeXt
from monitor.zoo.families.mobilenet import MobileNetV1, MobileNetV2
from monitor.zoo.family import AnyFamily, StateDict
from tests.parts.cli import Program
from tests.parts.small_ced import write_small_ced
from tests.parts.sounds import RATE, bursts, write_wav
from tests.zoo.families.test_efficientat import small as small_efficientat
from tests.zoo.families.test_yamnet import write_yamnet
from tests.zoo.seeded import state_dict
from tests.zoo.small_clap import publish, small_clap

HOP = 0.5
"""Seconds."""


@dataclass(frozen=True)
class Small:
    """A small checkpoint of a family."""

    write: Callable[[Path], Path]
    """Write the file into a folder."""
    network: Callable[[], nn.Module] | None = None
    """A narrower network, for a family that has only one size."""
    seconds: float | None = 1.0
    """Length of a window; None for a family with a fixed length."""


def narrow(make: Callable[[], nn.Module]) -> Small:
    """A checkpoint of a family with only one size."""

    def write(folder: Path) -> Path:
        shapes = {key: tuple(value.shape) for key, value in make().state_dict().items()}
        path = folder / "narrow.pth"
        torch.save({"model": state_dict(shapes)}, path)
        return path

    return Small(write, make)


def write_ast(folder: Path) -> Path:
    """transformers' class, seeded."""
    torch.manual_seed(0)
    config = ASTConfig(hidden_size=64, num_hidden_layers=1, num_attention_heads=1, intermediate_size=96, num_labels=527)
    ASTForAudioClassification(config).save_pretrained(folder)
    return folder / "model.safetensors"


def write_efficientat(folder: Path) -> Path:
    """A narrow one, seeded."""
    path = folder / "narrow.pt"
    torch.save(small_efficientat().state_dict(), path)
    return path


PANNS = (8, 8, 16, 16, 24, 24)
SMALL = {
    "convnext-tiny": narrow(lambda: ConvNeXt((1, 1, 2, 1), (8, 16, 24, 32), 527)),
    "panns-cnn14": narrow(lambda: Cnn14(PANNS)),
    "panns-wavegram-logmel-cnn14": narrow(lambda: WavegramLogmelCnn14(PANNS, (8, 8, 16, 64))),
    "panns-mobilenetv1": narrow(lambda: MobileNetV1(((8, 2), (16, 1), (16, 2), (24, 2), (24, 2), (32, 2)))),
    "panns-mobilenetv2": narrow(
        lambda: MobileNetV2(8, ((1, 8, 1, 1), (3, 12, 2, 2), (3, 16, 2, 2), (3, 16, 1, 2), (3, 24, 1, 2)), 40, 32)
    ),
    "ast": Small(write_ast),
    "clap": Small(lambda folder: publish(small_clap(), folder)),
    "ced": Small(lambda folder: write_small_ced(folder / "small.pth")),
    "efficientat": Small(write_efficientat),
    "yamnet": Small(lambda folder: write_yamnet(folder / "small.tflite"), seconds=None),
}


def family_of(name: str, small: Small, monkeypatch: pytest.MonkeyPatch) -> AnyFamily:
    """Return the family; one with only one size gets the small network."""
    family, make = load_family(name), small.network
    if make is None:
        return family

    def build(state: StateDict, window: int) -> nn.Module:
        network = make()
        load_strict(network, state)
        return network.eval()

    family = replace(family, build=build)
    module, _, attribute = FAMILIES[name].partition(":")
    monkeypatch.setattr(importlib.import_module(module), attribute, family)
    return family


def configure(program: Program, **detection: Any) -> None:
    """Write a configuration for the small model, with prompts if the family requires them."""
    model: dict[str, Any] = {"name": "./small.onnx", "hop": HOP}
    if (program.folder / "small.text").exists():
        model["prompts"] = {"glass": ["a glass breaking"], "dog": ["the sound of a dog"]}
    (program.folder / "config.yaml").write_text(yaml.safe_dump({"model": model, "detection": detection}))


def write_burst(folder: Path, rate: int) -> NDArray[np.int16]:
    """Write a quiet room with a loud second as burst.wav and as raw samples in burst.pcm; return the samples."""
    recording = write_wav(folder / "burst.wav", resample(bursts(3, 1.0, length=1.0), RATE, rate), rate)
    samples = recording.read_bytes()[44:]
    (folder / "burst.pcm").write_bytes(samples)
    return np.frombuffer(samples, "<i2")


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_imported_and_used(name: str, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """`analyze` gives the answers of the network itself, and `run` detects the same sound."""
    small, folder = SMALL[name], program.folder
    monkeypatch.chdir(folder)
    for variable, place in {"XDG_DATA_HOME": "home/.local/share", "XDG_CACHE_HOME": "home/.cache"}.items():
        monkeypatch.setenv(variable, str(folder / place))
    family = family_of(name, small, monkeypatch)
    checkpoint = small.write(folder)
    length = () if small.seconds is None else ("--window", str(small.seconds))
    assert main(["models", "import", str(checkpoint), "--family", name, *length, "--output", "small.onnx"]) == 0

    configure(program)
    rate = family.sample_rate
    pcm = write_burst(folder, rate)
    analysed = program.run("analyze", "burst.wav", "--scores", "scores")
    assert analysed.code == 0, analysed.err
    window = family.window if small.seconds is None else round(small.seconds * rate)
    with np.load(folder / "scores/burst.npz") as saved:
        labels, scores, embeddings, times = (saved[key] for key in ("labels", "probabilities", "embeddings", "times"))
    ends = [round(time * rate) for time in times[:-1]]  # the last window may reach beyond the file
    windows = (np.stack([pcm[end - window : end] for end in ends]) / 32768).astype(np.float32)
    wanted = network_answers(family.build(family.read(checkpoint), window), windows)
    for given, truth in zip((scores, embeddings)[-len(wanted) :], wanted, strict=True):
        np.testing.assert_allclose(given[:-1], truth, rtol=0, atol=1e-4 * max(1, np.abs(truth).max()))

    rising = int((scores.max(axis=0) - scores[0]).argmax())
    between = float(scores[0, rising] + scores[:, rising].max()) / 2
    rule = {"label": str(labels[rising]), "preset": "impulsive", "on": between, "off": between, "votes": 1}
    configure(program, rules=[rule])
    ran = program.run("run", "--source", f"pcm:burst.pcm@{rate}", "--json")
    assert ran.code == 0, ran.err
    told = [json.loads(line) for line in ran.out.splitlines()]
    assert [(one["phase"], one["label"]) for one in told[:1]] == [("started", labels[rising])]
    assert told[-1]["peak"] == pytest.approx(scores[:, rising].max(), abs=1e-4)
