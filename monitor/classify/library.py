"""Where model files are found."""

import difflib
import os
from pathlib import Path

from monitor.errors import ModelError

_HERE = Path(__file__).resolve().parent.parent


def folders() -> list[Path]:
    """The folders that are searched, first come first served: the user's, then those that came with the program."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return [Path(data) / "sound-monitor" / "models", _HERE / "bundled", _HERE.parent / "models"]


def files() -> list[Path]:
    """All model files at hand, by name; of two with one name only the first that would be found."""
    found: dict[str, Path] = {}
    for folder in folders():
        for path in sorted(folder.glob("*.onnx")):
            found.setdefault(path.stem, path)
    return [found[name] for name in sorted(found)]


def find(name: str) -> Path:
    """The file of a model by its name or path. Raises `ModelError` that names what is at hand."""
    if name.endswith(".onnx") or "/" in name:
        path = Path(os.path.expanduser(name))  # noqa: PTH111 - Path's raises on ~nobody
        if not path.is_file():
            raise ModelError(f"model file {name} does not exist")
        return path
    at_hand = {path.stem: path for path in files()}
    if name in at_hand:
        return at_hand[name]
    near = difflib.get_close_matches(name, at_hand, n=1)
    hint = f"did you mean {near[0]}?" if near else f"at hand: {', '.join(at_hand) or 'none'}"
    raise ModelError(f"there is no model called {name!r}; {hint}")
