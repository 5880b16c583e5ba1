"""Where files live: systemd's folders for a service, the user's XDG folders otherwise."""

import contextlib
import os
import re
import stat
from pathlib import Path

from platformdirs import PlatformDirs

from monitor.config.schema import Config
from monitor.errors import StorageError

SERVICE_LOG = Path("/var/lib/sound-monitor/events.db")
"""The event log of the system service."""

WITH_PASSWORD = re.compile(r"://[^/@:]*:(?!\d+/)[^@]*@")
"""In a URL, a user and a password."""

_PACKAGE = Path(__file__).resolve().parents[1]
_DIRS = PlatformDirs("sound-monitor", appauthor=False)


def state_folder() -> Path:
    """The folder for what must not be lost. Raises `StorageError` for a user without a home directory."""
    return _given_by_systemd("STATE_DIRECTORY") or _in_home("state", "XDG_STATE_HOME")


def cache_folder() -> Path:
    """The folder for what can be made again. Raises `StorageError` for a user without a home directory."""
    return _given_by_systemd("CACHE_DIRECTORY") or _in_home("cache", "XDG_CACHE_HOME")


def user_models() -> Path:
    """The folder of the user's own models. Raises `StorageError` for a user without a home directory."""
    return _in_home("data", "XDG_DATA_HOME") / "models"


def model_folders() -> list[Path]:
    """Folders to search for models: the user's, then the package's, then in a checkout `models` beside the package."""
    folders = [_PACKAGE / "bundled"]
    checkout = _PACKAGE.parent
    if (checkout / "pyproject.toml").is_file():
        folders.append(checkout / "models")
    try:
        return [user_models(), *folders]
    except StorageError:
        return folders


def config_file() -> str | None:
    """The configuration file that is used by default, the first that exists; None if none does."""
    places = [Path("config.yaml"), Path("/etc/sound-monitor/config.yaml")]
    with contextlib.suppress(StorageError):
        places.insert(1, _in_home("config", "XDG_CONFIG_HOME") / "config.yaml")
    return next((str(place) for place in places if os.access(place, os.F_OK)), None)


def exposes_password(file: str | None, config: Config) -> bool:
    """Return whether every user of this machine can read a password in the configuration file."""
    if file in (None, "-"):
        return False
    if config.mqtt.password is None and not any(WITH_PASSWORD.search(source.input) for source in config.sources):
        return False
    with contextlib.suppress(OSError):
        return bool(Path(str(file)).stat().st_mode & stat.S_IROTH)
    return False


def event_log_path(config: Config) -> Path:
    """The configured file, or the one in the state folder. Raises `StorageError` as `state_folder` does."""
    return Path(config.events.path) if config.events.path else state_folder() / "events.db"


def recorded_log_path(config: Config) -> Path:
    """The event log to read: the user's, or the service's if the user has none and none is configured."""
    path = event_log_path(config)
    if config.events.path or os.access(path, os.F_OK) or not os.access(SERVICE_LOG.parent, os.F_OK):
        return path
    return SERVICE_LOG


def settings_path(config: Config) -> Path:
    """The file of settings that were changed at run time, beside the event log."""
    return event_log_path(config).with_name("settings.json")


def _given_by_systemd(variable: str) -> Path | None:
    """The first folder that systemd created for the service; None outside a service."""
    first = os.environ.get(variable, "").split(":")[0]
    return Path(first) if first else None


def _in_home(kind: str, variable: str) -> Path:
    """A folder below the home directory, or below the one that `variable` names. Raises `StorageError`."""
    try:
        folder: Path = getattr(_DIRS, f"user_{kind}_path")
    except RuntimeError:
        folder = Path()
    if not folder.is_absolute():  # what older versions of platformdirs return
        raise StorageError(f"no home directory: set HOME or {variable}")
    return folder
