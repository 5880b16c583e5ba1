"""A program with a model and a configuration of its own."""

import pytest

from tests.parts.cli import Program
from tests.parts.sounds import bursts, write_wav
from tests.parts.tiny_model import write_tiny_model

CONFIG = """
node: test
model: {name: tiny}
detection: {rules: [{label: Loud, preset: impulsive}]}
"""


@pytest.fixture
def program(program: Program) -> Program:
    """In its folder: config.yaml for the tiny model, and burst.wav of 4 s with a loud sound from 1.0 to 1.6 s."""
    write_tiny_model(program.models / "tiny.onnx")
    (program.folder / "config.yaml").write_text(CONFIG)
    write_wav(program.folder / "burst.wav", bursts(4, 1.0))
    return program
