"""Encoding descriptions with a text tower, and the cache of vectors."""

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
    """Use an empty cache folder, and return it."""
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "sound-monitor" / "prompts"


@pytest.fixture
def tower(tmp_path: Path) -> PromptEncoder:
    """A text tower for the words up and down."""
    return tower_of(write_tiny_clap(tmp_path / "clicks.onnx"))


def tower_of(model: Path) -> PromptEncoder:
    """The text tower that a model's metadata names."""
    import onnx

    metadata = {entry.key: entry.value for entry in onnx.load(str(model)).metadata_props}
    return PromptEncoder(
        model.with_suffix(".text"),
        metadata["text_sha256"],
        model.with_suffix(".tokenizer.json"),
        metadata["tokenizer_sha256"],
    )


def without_its_files(tower: PromptEncoder) -> PromptEncoder:
    """Delete the tower's files, so only the cache is left."""
    tower.graph.unlink()
    tower.tokenizer.unlink()
    return tower


def test_vectors_keep_the_order_of_the_descriptions(tower: PromptEncoder) -> None:
    """Descriptions of any length, also repeated ones, have vectors in order."""
    vectors = tower.vectors(["down", "up", "something else", "up down", "down"])
    wanted = [DOWN, UP, OTHER, (UP + DOWN) / np.sqrt(2), DOWN]
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, wanted, rtol=1e-6)


def test_a_long_description_is_cut(tower: PromptEncoder) -> None:
    """A description is truncated to the tower's number of tokens."""
    np.testing.assert_allclose(tower.vectors(["up " * 16 + "down " * 16]), [UP], rtol=1e-6)


def test_cached_vectors_need_no_tower(tower: PromptEncoder) -> None:
    """Cached descriptions need neither the tower's files nor their hashes."""
    vectors = tower.vectors(["up", "up down"])
    np.testing.assert_array_equal(without_its_files(tower).vectors(["up down", "up"]), vectors[::-1])


def test_only_new_descriptions_are_encoded(tower: PromptEncoder, cache: Path) -> None:
    """Each description has a file of its own in the cache."""
    tower.vectors(["up"])
    kept = {place: place.stat().st_mtime_ns for place in cache.iterdir()}
    tower.vectors(["up", "down"])
    assert {place: place.stat().st_mtime_ns for place in cache.iterdir() if place in kept} == kept
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("damage", [b"", b"x", None])
def test_a_damaged_cache_is_rewritten(tower: PromptEncoder, cache: Path, damage: bytes | None) -> None:
    """A truncated, overwritten or corrupted file is encoded again."""
    tower.vectors(["up"])
    (place,) = cache.iterdir()
    whole = place.read_bytes()
    place.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]) if damage is None else damage)
    np.testing.assert_array_equal(tower.vectors(["up"]), [UP])
    assert place.read_bytes() == whole


def test_another_tower_has_its_own_cache(tower: PromptEncoder, tmp_path: Path) -> None:
    """The cache depends on the hashes of the tower."""
    tower.vectors(["up"])
    other = PromptEncoder(tower.graph, "0" * 64, tower.tokenizer, tower.tokenizer_sha256)
    with pytest.raises(ModelError, match=r"clicks\.text: damaged, or from another model"):
        other.vectors(["up"])


def test_the_cache_is_optional(tower: PromptEncoder, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without a writable cache the tower runs every time."""
    (tmp_path / "cache").write_text("a file stands in the way")
    with caplog.at_level("INFO"):
        np.testing.assert_array_equal(tower.vectors(["up"]), [UP])
    assert "cannot cache prompts" in caplog.text


@pytest.mark.parametrize("end", [".text", ".tokenizer.json"])
def test_a_missing_or_changed_file_is_an_error(tower: PromptEncoder, end: str) -> None:
    """The error names the file and the remedy."""
    path = tower.graph.with_suffix(end)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ModelError, match=rf"clicks\{end}: damaged.*pull or import the model again"):
        tower.vectors(["up"])
    path.unlink()
    with pytest.raises(ModelError, match=rf"clicks\{end}: prompts require this file.*pull or import the model again"):
        tower.vectors(["up"])


def test_a_missing_tokenizers_package_is_an_error(tower: PromptEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra to install; cached descriptions do not require the package."""
    tower.vectors(["up"])
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    np.testing.assert_array_equal(tower.vectors(["up"]), [UP])
    with pytest.raises(ModelError, match="install the extra 'clap'"):
        tower.vectors(["down"])
