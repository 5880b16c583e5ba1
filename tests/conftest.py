"""Fixtures that tests of several parts share."""

from pathlib import Path

import pytest

from tests.parts.cli import Program


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The command line in an empty home."""
    return Program(tmp_path)
