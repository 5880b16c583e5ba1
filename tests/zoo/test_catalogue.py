"""The published checkpoints by name, and the families that they belong to."""

import re
import subprocess
import sys
from pathlib import PurePath

import pytest

from monitor.errors import ModelError
from monitor.zoo.catalogue import CHECKPOINTS, FAMILIES, load_family


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_checkpoint_can_be_downloaded_and_verified(name: str) -> None:
    """It has a known family, a safe address, a plain file name, and a digest in a known form or none."""
    checkpoint = CHECKPOINTS[name]
    assert checkpoint.name == name
    assert checkpoint.family in FAMILIES
    assert checkpoint.address.startswith("https://")
    assert PurePath(checkpoint.file).name == checkpoint.file
    assert checkpoint.digest is None or re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", checkpoint.digest)
    assert checkpoint.licence
    assert checkpoint.source


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_loaded_by_its_name(name: str) -> None:
    """The family loaded under a name has that name, and its numbers are consistent."""
    pytest.importorskip("torch", reason="loading a family needs torch")
    family = load_family(name)
    assert family.name == name
    assert 0 < family.shortest <= family.window
    assert family.quantization.kind in ("static", "dynamic")


def test_an_unknown_family_is_refused() -> None:
    """The message names the families."""
    with pytest.raises(ModelError, match=r"unknown model family 'vgg'; known: .* panns-cnn14"):
        load_family("vgg")


def run_python(code: str) -> str:
    """Return what a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_without_torch_a_family_says_what_to_install() -> None:
    """Without torch the catalogue loads, and loading a family names the package and the command."""
    said = run_python(
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "from monitor.errors import ModelError\n"
        "from monitor.zoo.catalogue import CHECKPOINTS, load_family\n"
        "try:\n"
        "    load_family(CHECKPOINTS['cnn14'].family)\n"
        "except ModelError as error:\n"
        "    print(error)\n"
    )
    assert said == "importing models requires the package torch: install it with `pip install 'sound-monitor[zoo]'`\n"


def test_the_catalogue_loads_no_torch() -> None:
    """The published models are listed without loading torch."""
    said = run_python("import sys, monitor.zoo.catalogue, monitor.zoo.families.audioset; print('torch' in sys.modules)")
    assert said == "False\n"
