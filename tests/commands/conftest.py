"""Fixtures of the tests of commands: a program with a small model and a configuration."""

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
    """A program whose folder has config.yaml for the tiny model, and burst.wav of 3 s, loud from 0.5 to 1.1 s.

    burst.pcm has the same samples without a header; a pcm source is read as fast as possible, not in real time.
    """
    write_tiny_model(program.models / "tiny.onnx")
    (program.folder / "config.yaml").write_text(CONFIG)
    wav = write_wav(program.folder / "burst.wav", bursts(3, 0.5))
    (program.folder / "burst.pcm").write_bytes(wav.read_bytes()[44:])
    return program
