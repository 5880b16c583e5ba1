"""Vectors of descriptions, from a text tower or the cache."""

import sys
from pathlib import Path

import numpy as np
import pytest

from monitor.classify.text_tower import PromptEncoder
from monitor.errors import ModelError
from tests.parts.tiny_clap import write_tiny_clap

UP, DOWN, OTHER = np.eye(3, dtype=np.float32)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own."""
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "sound-monitor" / "prompts"


@pytest.fixture
def tower(tmp_path: Path) -> PromptEncoder:
    """One that knows the words up and down."""
    return tower_of(write_tiny_clap(tmp_path / "clicks.onnx"))


def tower_of(model: Path) -> PromptEncoder:
    """The text tower beside a model, as its metadata tells of it."""
    import onnx

    metadata = {entry.key: entry.value for entry in onnx.load(str(model)).metadata_props}
    return PromptEncoder(
        model.with_suffix(".text"),
        metadata["text_sha256"],
        model.with_suffix(".tokenizer.json"),
        metadata["tokenizer_sha256"],
    )


def without_its_files(tower: PromptEncoder) -> PromptEncoder:
    """Only the cache is left."""
    tower.graph.unlink()
    tower.tokenizer.unlink()
    return tower


def test_descriptions_become_vectors_in_their_order(tower: PromptEncoder) -> None:
    """Whatever their length, and one that stands there twice twice."""
    vectors = tower.vectors(["down", "up", "something else", "up down", "down"])
    wanted = [DOWN, UP, OTHER, (UP + DOWN) / np.sqrt(2), DOWN]
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, wanted, rtol=1e-6)


def test_a_long_description_is_cut(tower: PromptEncoder) -> None:
    """To the tokens that the tower takes."""
    np.testing.assert_allclose(tower.vectors(["up " * 16 + "down " * 16]), [UP], rtol=1e-6)


def test_the_cache_does_without_the_tower(tower: PromptEncoder) -> None:
    """What was read once is not read again, not even for its hash."""
    vectors = tower.vectors(["up", "up down"])
    np.testing.assert_array_equal(without_its_files(tower).vectors(["up down", "up"]), vectors[::-1])


def test_only_what_is_new_is_read(tower: PromptEncoder, cache: Path) -> None:
    """Each description has a place of its own in the cache."""
    tower.vectors(["up"])
    kept = {place: place.stat().st_mtime_ns for place in cache.iterdir()}
    tower.vectors(["up", "down"])
    assert {place: place.stat().st_mtime_ns for place in cache.iterdir() if place in kept} == kept
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("damage", [b"", b"x", None])
def test_a_damaged_cache_is_made_again(tower: PromptEncoder, cache: Path, damage: bytes | None) -> None:
    """Cut off, overwritten, or with a bit turned round."""
    tower.vectors(["up"])
    (place,) = cache.iterdir()
    whole = place.read_bytes()
    place.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]) if damage is None else damage)
    np.testing.assert_array_equal(tower.vectors(["up"]), [UP])
    assert place.read_bytes() == whole


def test_another_tower_has_its_own_cache(tower: PromptEncoder, tmp_path: Path) -> None:
    """The same words mean something else to it."""
    tower.vectors(["up"])
    other = PromptEncoder(tower.graph, "0" * 64, tower.tokenizer, tower.tokenizer_sha256)
    with pytest.raises(ModelError, match=r"clicks\.text: damaged, or not made with the model beside it"):
        other.vectors(["up"])


def test_without_a_cache_it_reads_again(tower: PromptEncoder, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A folder that cannot be written costs time, and nothing else."""
    (tmp_path / "cache").write_text("a file stands in the way")
    with caplog.at_level("INFO"):
        np.testing.assert_array_equal(tower.vectors(["up"]), [UP])
    assert "prompts are not cached" in caplog.text


@pytest.mark.parametrize("end", [".text", ".tokenizer.json"])
def test_a_file_that_is_missing_or_changed_is_said(tower: PromptEncoder, end: str) -> None:
    """With its name, and what to do."""
    path = tower.graph.with_suffix(end)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ModelError, match=rf"clicks\{end}: damaged.*pull or import the model again"):
        tower.vectors(["up"])
    path.unlink()
    with pytest.raises(ModelError, match=rf"clicks\{end}: needed beside the model.*pull or import the model again"):
        tower.vectors(["up"])


def test_the_package_that_is_missing_is_said(tower: PromptEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the extra that holds it; what the cache holds needs none."""
    tower.vectors(["up"])
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    np.testing.assert_array_equal(tower.vectors(["up"]), [UP])
    with pytest.raises(ModelError, match="install the extra 'clap'"):
        tower.vectors(["down"])
