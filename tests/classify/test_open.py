"""Finding model files, and opening a model of any kind."""

from pathlib import Path

import pytest
from onnx import helper, load_model, save_model

from monitor.classify.foreign import ForeignModel
from monitor.classify.model import NativeModel
from monitor.classify.open import describe_model, find_model, model_files, open_model
from monitor.config import paths
from monitor.config.schema import ModelConfig
from monitor.errors import ConfigError, ModelError
from tests.parts.foreign_model import write_ced
from tests.parts.tiny_model import write_tiny_model

CARD = """\
name: CED tiny
sample_rate: 16000
seconds: 1
labels: [Speech, Dog, Music]
input: {front_end: ced, layout: [batch, mels, frames]}
output: {kind: probabilities}
"""


def worded(path: Path) -> Path:
    """The tiny model without classes of its own."""
    model = load_model(str(write_tiny_model(path, prompts="required")))
    kept = {entry.key: entry.value for entry in model.metadata_props if entry.key != "labels"}
    model.ClearField("metadata_props")
    helper.set_model_props(model, kept)
    save_model(model, str(path))
    return path


def test_a_native_model_is_opened(tmp_path: Path) -> None:
    """A model with metadata opens on the configured provider."""
    model = open_model(ModelConfig(name=str(write_tiny_model(tmp_path / "ears.onnx")), provider="cpu"))
    assert isinstance(model, NativeModel)
    assert (model.card.name, model.provider) == ("ears", "CPUExecutionProvider")


def test_a_model_with_a_card_is_opened(tmp_path: Path) -> None:
    """Without a card the error asks for one."""
    config = ModelConfig(name=str(write_ced(tmp_path / "ced.onnx")))
    with pytest.raises(ModelError, match=r"missing metadata: .* write a card ced\.yaml beside it"):
        open_model(config)
    (tmp_path / "ced.yaml").write_text(CARD)
    assert isinstance(open_model(config), ForeignModel)


def test_a_prompted_model_requires_prompts(tmp_path: Path) -> None:
    """The error shows an example of prompts."""
    path = worded(tmp_path / "clap.onnx")
    with pytest.raises(
        ConfigError, match=r"(?s)requires a description.*model: \{name: clap, prompts: \{glass: \[a glass"
    ):
        open_model(ModelConfig(name=str(path)))


def test_prompts_for_a_model_with_classes_are_an_error(tmp_path: Path) -> None:
    """A model with classes of its own does not ignore prompts silently."""
    path = write_tiny_model(tmp_path / "ears.onnx")
    with pytest.raises(ConfigError, match=r"model\.prompts: .*ears\.onnx .*takes no prompts"):
        open_model(ModelConfig(name=str(path), prompts={"glass": ("glass breaking",)}))


def test_every_kind_is_described_without_loading(tmp_path: Path) -> None:
    """`describe_model` returns the card of the opened model."""
    ears = write_tiny_model(tmp_path / "ears.onnx")
    assert describe_model(ears) == open_model(ModelConfig(name=str(ears))).card
    ced = write_ced(tmp_path / "ced.onnx")
    (tmp_path / "ced.yaml").write_text(CARD)
    assert describe_model(ced) == open_model(ModelConfig(name=str(ced))).card
    assert describe_model(worded(tmp_path / "clap.onnx")).labels == ()
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match="not an ONNX file"):
        describe_model(tmp_path / "bad.onnx")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path, Path]:
    """Empty model folders of the user, of the package and of the checkout."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(paths, "_PACKAGE", tmp_path / "checkout/monitor")
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout/pyproject.toml").touch()
    user, package, checkout = paths.model_folders()
    for folder in (user, package, checkout):
        folder.mkdir(parents=True)
    return user, package, checkout


def test_the_users_model_comes_first(places: tuple[Path, Path, Path]) -> None:
    """Of files with the same name, only that of the first folder is found and listed."""
    user, package, checkout = places
    (checkout / "a.onnx").touch()
    assert find_model("a") == checkout / "a.onnx"
    (package / "a.onnx").touch()
    assert find_model("a") == package / "a.onnx"
    (user / "a.onnx").touch()
    assert find_model("a") == user / "a.onnx"
    assert model_files() == [user / "a.onnx"]


def test_models_are_listed_by_name(places: tuple[Path, Path, Path]) -> None:
    """The list has the ONNX files of all folders."""
    user, package, checkout = places
    for path in (checkout / "b.onnx", user / "c.onnx", package / "a.onnx", user / "notes.txt"):
        path.touch()
    assert [path.stem for path in model_files()] == ["a", "b", "c"]


def test_a_path_is_used_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with .onnx or a slash is a path; ~ is the home directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.onnx").touch()
    (tmp_path / "mine").touch()
    assert find_model("mine.onnx") == Path("mine.onnx")
    assert find_model("./mine") == Path("mine")
    assert find_model("~/mine.onnx") == tmp_path / "mine.onnx"


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """A missing file and a folder are errors."""
    with pytest.raises(ModelError, match=r"model file .*/x\.onnx does not exist"):
        find_model(str(tmp_path / "x.onnx"))
    with pytest.raises(ModelError, match="does not exist"):
        find_model(f"{tmp_path}/")
    with pytest.raises(ModelError, match=r"~nobody-of-this-name/x\.onnx does not exist"):
        find_model("~nobody-of-this-name/x.onnx")


def test_an_unknown_name_suggests_an_installed_model(places: tuple[Path, Path, Path]) -> None:
    """The error suggests the nearest name, or lists all installed models."""
    with pytest.raises(ModelError, match="unknown model 'ears'; known: none"):
        find_model("ears")
    for name in ("convnext", "yamnet"):
        (places[2] / f"{name}.onnx").touch()
    with pytest.raises(ModelError, match=r"unknown model 'convnxt'; did you mean 'convnext'\?"):
        find_model("convnxt")
    with pytest.raises(ModelError, match="unknown model 'ears'; known: convnext, yamnet"):
        find_model("ears")
