"""Where model files and checkpoints are kept, and how a path is shown."""

from pathlib import Path

from monitor.config.paths import cache_folder, user_models


def installed(name: str) -> Path:
    """Where the user's model of this name belongs."""
    return user_models() / f"{name}.onnx"


def checkpoints() -> Path:
    """The folder of downloaded checkpoints."""
    return cache_folder() / "checkpoints"


def short(path: Path) -> str:
    """The path from the working directory, or from the home directory, where it is below."""
    here, home = Path.cwd(), Path.home()
    if path.is_relative_to(here):
        return str(path.relative_to(here))
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
