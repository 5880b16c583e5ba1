"""A model that takes prompts, used from the command line."""

import json
from pathlib import Path

import numpy as np

from monitor.messages import Samples
from tests.parts.cli import Program
from tests.parts.sounds import write_wav
from tests.parts.tiny_clap import RATE, write_tiny_clap

CONFIG = """
model:
  name: clicks
  prompts: {my doorbell: [up, up up], knock: [down]}
  background: [silence, anything else]
detection:
  rules: [{label: Doorbell, classes: [my doorbell], preset: impulsive}]
"""


def click(at: float) -> Samples:
    """Three seconds of silence with one click up, float32[n]."""
    samples = np.zeros(3 * RATE, np.float32)
    samples[round(at * RATE)] = 0.9
    return samples


def prompted(program: Program, config: str = CONFIG) -> Path:
    """Install a model that takes prompts, and write its configuration; returns the folder of models."""
    write_tiny_clap(program.models / "clicks.onnx")
    write_wav(program.folder / "click.wav", click(1.5))
    (program.folder / "config.yaml").write_text(config)
    return program.models


def test_a_sound_is_found_by_its_description(program: Program) -> None:
    """A sound is found by its description, under its rule's label, in the right window."""
    prompted(program)
    done = program.run("analyze", "click.wav", "--format", "jsonl")
    assert done.code == 0
    (found,) = map(json.loads, done.out.splitlines())
    assert (found["label"], found["model"]) == ("Doorbell", "clicks")
    assert 1.0 <= found["start"] <= 1.5 <= found["end"]


def test_the_cache_is_the_users(program: Program) -> None:
    """A second start reads the prompts from the user's cache, without the text tower."""
    models = prompted(program)
    found = program.run("analyze", "click.wav").out
    assert "Doorbell" in found
    (models / "clicks.text").unlink()
    assert program.run("analyze", "click.wav").out == found
    assert len(list((program.folder / "home/.cache/sound-monitor/prompts").iterdir())) == 5


def test_a_rule_without_a_prompt_is_refused(program: Program) -> None:
    """A rule for a name without a prompt is refused with the names that have one."""
    prompted(program, CONFIG.replace("classes: [my doorbell]", "classes: [my doorbel]"))
    done = program.run("analyze", "click.wav")
    assert done.code == 78
    assert "the model has no class 'my doorbel'; did you mean 'my doorbell'?" in done.err


def test_a_model_without_its_prompts_says_how_to_write_them(program: Program) -> None:
    """A model without prompts is an error that shows how to write them, in `analyze` and in `check`."""
    prompted(program, "model: {name: clicks}")
    for command in (("analyze", "click.wav"), ("check",)):
        done = program.run(*command)
        assert done.code == 78
        assert "model: {name: clicks, prompts: {glass: [a glass breaking" in done.out + done.err
        assert "Traceback" not in done.err
