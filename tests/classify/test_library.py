"""Where models are found."""

from pathlib import Path

import pytest

from monitor.classify import library
from monitor.config import paths
from monitor.errors import ModelError


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path, Path]:
    """The user's folder, the one inside the package and the one beside it, all empty."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(paths, "_PACKAGE", tmp_path / "checkout/monitor")
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout/pyproject.toml").touch()
    user, package, checkout = paths.model_folders()
    for folder in (user, package, checkout):
        folder.mkdir(parents=True)
    return user, package, checkout


def test_the_users_model_goes_before_ours(places: tuple[Path, Path, Path]) -> None:
    """Of several files with one name the first folder's is found, and it alone is listed."""
    user, package, checkout = places
    (checkout / "a.onnx").touch()
    assert library.find("a") == checkout / "a.onnx"
    (package / "a.onnx").touch()
    assert library.find("a") == package / "a.onnx"
    (user / "a.onnx").touch()
    assert library.find("a") == user / "a.onnx"
    assert library.files() == [user / "a.onnx"]


def test_models_are_listed_by_name(places: tuple[Path, Path, Path]) -> None:
    """From all folders together; other files are not models."""
    user, package, checkout = places
    for path in (checkout / "b.onnx", user / "c.onnx", package / "a.onnx", user / "notes.txt"):
        path.touch()
    assert [path.stem for path in library.files()] == ["a", "b", "c"]


def test_a_path_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its ending or a slash in it; ~ is the home directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.onnx").touch()
    (tmp_path / "mine").touch()
    assert library.find("mine.onnx") == Path("mine.onnx")
    assert library.find("./mine") == Path("mine")
    assert library.find("~/mine.onnx") == tmp_path / "mine.onnx"


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    """A folder is no model file either."""
    with pytest.raises(ModelError, match=r"model file .*/x\.onnx does not exist"):
        library.find(str(tmp_path / "x.onnx"))
    with pytest.raises(ModelError, match="does not exist"):
        library.find(f"{tmp_path}/")
    with pytest.raises(ModelError, match=r"~nobody-of-this-name/x\.onnx does not exist"):
        library.find("~nobody-of-this-name/x.onnx")


def test_an_unknown_name_leads_to_a_known_one(places: tuple[Path, Path, Path]) -> None:
    """The nearest, or else all that there are."""
    with pytest.raises(ModelError, match="no model called 'ears'; at hand: none"):
        library.find("ears")
    for name in ("convnext", "yamnet"):
        (places[2] / f"{name}.onnx").touch()
    with pytest.raises(ModelError, match=r"no model called 'convnxt'; did you mean convnext\?"):
        library.find("convnxt")
    with pytest.raises(ModelError, match="no model called 'ears'; at hand: convnext, yamnet"):
        library.find("ears")
