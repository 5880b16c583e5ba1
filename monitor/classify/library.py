"""Where model files are found."""

import contextlib
import difflib
from pathlib import Path

from monitor.config.paths import model_folders
from monitor.errors import ModelError
from monitor.files import expand_home


def files() -> list[Path]:
    """All model files at hand, by name; of two with one name only the first that would be found."""
    found: dict[str, Path] = {}
    for folder in model_folders():
        with contextlib.suppress(PermissionError):  # HOME may be another user's
            for path in sorted(folder.glob("*.onnx")):
                found.setdefault(path.stem, path)
    return [found[name] for name in sorted(found)]


def find(name: str) -> Path:
    """The file of a model by its name or path. Raises `ModelError` that names what is at hand."""
    if name.endswith(".onnx") or "/" in name:
        path = expand_home(name)
        if not path.is_file():
            raise ModelError(f"model file {name} does not exist")
        return path
    at_hand = {path.stem: path for path in files()}
    if name in at_hand:
        return at_hand[name]
    near = difflib.get_close_matches(name, at_hand, n=1)
    hint = f"did you mean {near[0]}?" if near else f"at hand: {', '.join(at_hand) or 'none'}"
    raise ModelError(f"there is no model called {name!r}; {hint}")
