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
from monitor.classify.open import open_model
from monitor.config.schema import ModelConfig
from monitor.zoo.build.checkpoint import load_strict, outputs_of
from monitor.zoo.build.compare import alone
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
from tests.zoo.seeded import clip, state_dict
from tests.zoo.small_clap import publish, small_clap

HOP = 0.5
"""Seconds."""


@dataclass(frozen=True)
class Small:
    """A small checkpoint of a family."""

    write: Callable[[Path, int], Path]
    """Write the file into a folder, with so many classes."""
    network: Callable[[int], nn.Module] | None = None
    """A narrower network with so many classes, for a family that has only one size."""
    seconds: float | None = 1.0
    """Length of a window; None for a family with a fixed length."""


def narrow(make: Callable[[int], nn.Module]) -> Small:
    """A checkpoint of a family with only one size."""

    def write(folder: Path, classes: int) -> Path:
        shapes = {key: tuple(value.shape) for key, value in make(classes).state_dict().items()}
        path = folder / "narrow.pth"
        torch.save({"model": state_dict(shapes)}, path)
        return path

    return Small(write, make)


def write_ast(folder: Path, classes: int) -> Path:
    """transformers' class, seeded."""
    torch.manual_seed(0)
    config = ASTConfig(
        hidden_size=64, num_hidden_layers=1, num_attention_heads=1, intermediate_size=96, num_labels=classes
    )
    ASTForAudioClassification(config).save_pretrained(folder)
    return folder / "model.safetensors"


def write_efficientat(folder: Path, classes: int) -> Path:
    """A narrow one, seeded."""
    path = folder / "narrow.pt"
    torch.save(small_efficientat(classes=classes).state_dict(), path)
    return path


PANNS = (8, 8, 16, 16, 24, 24)
BOTTLENECKS = ((1, 8, 1, 1), (3, 12, 2, 2), (3, 16, 2, 2), (3, 16, 1, 2), (3, 24, 1, 2))
SMALL = {
    "convnext-tiny": narrow(lambda classes: ConvNeXt((1, 1, 2, 1), (8, 16, 24, 32), classes)),
    "panns-cnn14": narrow(lambda classes: Cnn14(classes, PANNS)),
    "panns-wavegram-logmel-cnn14": narrow(lambda classes: WavegramLogmelCnn14(classes, PANNS, (8, 8, 16, 64))),
    "panns-mobilenetv1": narrow(
        lambda classes: MobileNetV1(classes, ((8, 2), (16, 1), (16, 2), (24, 2), (24, 2), (32, 2)))
    ),
    "panns-mobilenetv2": narrow(lambda classes: MobileNetV2(classes, 8, BOTTLENECKS, 40, 32)),
    "ast": Small(write_ast),
    "clap": Small(lambda folder, _classes: publish(small_clap(), folder)),
    "ced": Small(lambda folder, classes: write_small_ced(folder / "small.pth", classes=classes)),
    "efficientat": Small(write_efficientat),
    "yamnet": Small(lambda folder, classes: write_yamnet(folder / "small.tflite", classes=classes), seconds=None),
}


def family_of(name: str, small: Small, monkeypatch: pytest.MonkeyPatch) -> AnyFamily:
    """Return the family; one with only one size gets the small network."""
    family, make = load_family(name), small.network
    if make is None:
        return family

    def build(state: StateDict, window: int) -> nn.Module:
        network = make(outputs_of(state, family.head or ""))
        load_strict(network, state)
        return network.eval()

    small_family = replace(family, build=build)
    module, _, attribute = FAMILIES[name].partition(":")
    monkeypatch.setattr(importlib.import_module(module), attribute, small_family)
    return small_family


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
    checkpoint = small.write(folder, len(family.labels()))
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


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "clap"])
def test_a_checkpoint_with_classes_of_its_own_is_imported(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With `--labels` the model has these classes and the network's answers; without, the error asks for them."""
    small = SMALL[name]
    family = family_of(name, small, monkeypatch)
    monkeypatch.chdir(tmp_path)
    checkpoint, labels = small.write(tmp_path, 3), Path("mine.txt")
    length = () if small.seconds is None else ("--window", str(small.seconds))
    command = ["models", "import", str(checkpoint), "--family", name, *length, "--output", "small.onnx"]
    assert main(command) == 65
    assert (
        f"the checkpoint has 3 classes of its own, not the {len(family.labels())} of {name}" in capsys.readouterr().err
    )
    labels.write_text("kettle\nlift\n")
    assert main([*command, "--labels", "mine.txt"]) == 65
    assert "the checkpoint has 3 classes, but --labels names 2" in capsys.readouterr().err
    assert not Path("small.onnx").exists()

    labels.write_text("kettle\n\nlift \nneighbour's dog\n")
    assert main([*command, "--labels", "mine.txt"]) == 0
    model = open_model(ModelConfig(name="./small.onnx"))
    assert model.card.labels == ("kettle", "lift", "neighbour's dog")
    waveforms = np.stack([clip(1, model.card.window), clip(2, model.card.window)])
    wanted = network_answers(family.build(family.read(checkpoint), model.card.window), waveforms)
    for answer, truth in zip(alone(model.run, waveforms), wanted, strict=True):
        np.testing.assert_allclose(answer, truth, rtol=0, atol=1e-4 * max(1, np.abs(truth).max()))


def test_a_family_without_classes_takes_no_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message says where the sounds of a CLAP model are described."""
    labels = tmp_path / "mine.txt"
    labels.write_text("kettle\n")
    assert main(["models", "import", "any.safetensors", "--family", "clap", "--labels", str(labels)]) == 2
    assert "clap has no classes to label: describe sounds in model.prompts instead" in capsys.readouterr().err
