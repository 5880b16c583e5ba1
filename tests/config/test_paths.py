"""Where files live."""

from pathlib import Path

import pytest

from monitor.config import paths
from monitor.config.paths import (
    cache_folder,
    config_file,
    event_log_path,
    exposes_password,
    model_folders,
    settings_path,
    state_folder,
    user_models,
)
from monitor.config.schema import Config, EventsConfig, MqttConfig, SourceConfig
from monitor.errors import StorageError


def test_the_state_folder_is_systemds_or_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd's folder comes first, then XDG_STATE_HOME, then the home directory."""
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert state_folder() == Path("/home/me/.local/state/sound-monitor")
    monkeypatch.setenv("XDG_STATE_HOME", "/home/me/state")
    assert state_folder() == Path("/home/me/state/sound-monitor")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/sound-monitor:/var/lib/other")
    assert state_folder() == Path("/var/lib/sound-monitor")


def test_the_cache_folder_is_systemds_or_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd's folder comes first, then XDG_CACHE_HOME, then the home directory."""
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    assert cache_folder() == Path("/home/me/.cache/sound-monitor")
    monkeypatch.setenv("XDG_CACHE_HOME", "/home/me/cache")
    assert cache_folder() == Path("/home/me/cache/sound-monitor")
    monkeypatch.setenv("CACHE_DIRECTORY", "/var/cache/sound-monitor:/var/cache/other")
    assert cache_folder() == Path("/var/cache/sound-monitor")


def test_the_users_models_are_in_their_data_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's models are in XDG_DATA_HOME, by default ~/.local/share."""
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert user_models() == Path("/home/me/.local/share/sound-monitor/models")
    monkeypatch.setenv("XDG_DATA_HOME", "/srv/data")
    assert user_models() == Path("/srv/data/sound-monitor/models")


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without a home directory, as in a container that runs under an unknown user id."""
    for variable in ("HOME", "STATE_DIRECTORY", "CACHE_DIRECTORY"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # what it returns without a home directory


@pytest.mark.usefixtures("homeless")
def test_without_a_home_directory_an_error_names_what_to_set() -> None:
    """A folder that needs a home directory gives an error that names the variables to set."""
    with pytest.raises(StorageError, match="no home directory: set HOME or XDG_STATE_HOME"):
        state_folder()
    with pytest.raises(StorageError, match="no home directory: set HOME or XDG_CACHE_HOME"):
        cache_folder()


@pytest.mark.usefixtures("homeless")
def test_without_a_home_directory_the_bundled_models_and_configuration_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bundled models and ./config.yaml need no home directory."""
    assert paths._PACKAGE / "bundled" in model_folders()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").touch()
    assert config_file() == "config.yaml"


def test_models_beside_the_package_count_in_a_checkout_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder `models` beside the package is searched only if a pyproject.toml is there too."""
    monkeypatch.setattr(paths, "_PACKAGE", tmp_path / "monitor")
    assert tmp_path / "models" not in model_folders()
    (tmp_path / "pyproject.toml").touch()
    assert tmp_path / "models" in model_folders()


def test_the_settings_are_beside_the_event_log() -> None:
    """The settings file is in the folder of the event log."""
    config = Config(events=EventsConfig(path="/srv/a/events.db"))
    assert event_log_path(config) == Path("/srv/a/events.db")
    assert settings_path(config) == Path("/srv/a/settings.json")


@pytest.mark.parametrize(
    ("config", "secret"),
    [
        (Config(), False),
        (Config(mqtt=MqttConfig(host="broker", username="me", password_file="/run/password")), False),  # noqa: S106
        (Config(mqtt=MqttConfig(host="broker", username="me", password="hidden")), True),  # noqa: S106
        (Config(sources=(SourceConfig(input="rtsp://camera:554/live@2"),)), False),
        (Config(sources=(SourceConfig(input="mic"), SourceConfig(input="rtsp://me:a#b/c@camera/live"))), True),
    ],
)
def test_a_readable_file_with_a_password_is_found(config: Config, secret: bool, tmp_path: Path) -> None:
    """Only a password that others can read counts; standard input and built-in defaults have no file."""
    file = tmp_path / "config.yaml"
    file.touch(0o644)
    assert exposes_password(str(file), config) == secret
    file.chmod(0o640)
    assert not exposes_password(str(file), config)
    assert not any(exposes_password(other, config) for other in (None, "-", str(tmp_path / "none")))
