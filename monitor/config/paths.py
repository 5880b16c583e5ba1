"""Where files live: systemd's folders for a service, the user's XDG folders otherwise."""

import contextlib
import os
from pathlib import Path

from platformdirs import PlatformDirs

from monitor.config.schema import Config
from monitor.errors import StorageError

_PACKAGE = Path(__file__).resolve().parents[1]
_DIRS = PlatformDirs("sound-monitor", appauthor=False)


def state_folder() -> Path:
    """What the program must not lose. Raises `StorageError` for a user without a home directory."""
    return _given_by_systemd("STATE_DIRECTORY") or _in_home("state", "XDG_STATE_HOME")


def cache_folder() -> Path:
    """What the program can make again. Raises `StorageError` for a user without a home directory."""
    return _given_by_systemd("CACHE_DIRECTORY") or _in_home("cache", "XDG_CACHE_HOME")


def user_models() -> Path:
    """Where the user's own models belong. Raises `StorageError` for a user without a home directory."""
    return _in_home("data", "XDG_DATA_HOME") / "models"


def model_folders() -> list[Path]:
    """Folders to search for models, in order: the user's, those in the package, and in a checkout those beside it."""
    folders = [_PACKAGE / "bundled"]
    checkout = _PACKAGE.parent
    if (checkout / "pyproject.toml").is_file():
        folders.append(checkout / "models")
    try:
        return [user_models(), *folders]
    except StorageError:
        return folders


def config_file() -> str | None:
    """The configuration file that is used unless another one is named: the first that exists."""
    places = [Path("config.yaml"), Path("/etc/sound-monitor/config.yaml")]
    with contextlib.suppress(StorageError):
        places.insert(1, _in_home("config", "XDG_CONFIG_HOME") / "config.yaml")
    return next((str(place) for place in places if os.access(place, os.F_OK)), None)


def event_log_path(config: Config) -> Path:
    """The configured file, or the one in the state folder. Raises `StorageError` as `state_folder` does."""
    return Path(config.events.path) if config.events.path else state_folder() / "events.db"


def settings_path(config: Config) -> Path:
    """The file of the settings that were changed at run time: beside the event log."""
    return event_log_path(config).with_name("settings.json")


def _given_by_systemd(variable: str) -> Path | None:
    """The first folder that systemd made for the service."""
    first = os.environ.get(variable, "").split(":")[0]
    return Path(first) if first else None


def _in_home(kind: str, variable: str) -> Path:
    """A folder that has a place only if there is a home directory, or `variable` names one."""
    try:
        folder: Path = getattr(_DIRS, f"user_{kind}_path")
    except RuntimeError:
        folder = Path()
    if not folder.is_absolute():  # what older versions of platformdirs return
        raise StorageError(f"no home directory: set HOME or {variable}")
    return folder
