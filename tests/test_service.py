"""The service as a whole, in this process."""

import pytest

from monitor.audio.windows import Grid
from monitor.config.schema import Config, MqttConfig, SourceConfig
from monitor.errors import ConfigError
from monitor.service import default_source, listeners


@pytest.fixture
def deaf_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a microphone."""
    monkeypatch.setattr("monitor.audio.microphone.default_available", lambda: False)
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)


def test_without_a_microphone_a_person_gets_a_demonstration(
    deaf_machine: None, caplog: pytest.LogCaptureFixture
) -> None:
    """And is told what it is."""
    assert default_source(Config()).input == "demo"
    assert "synthesised demonstration" in caplog.text


def test_a_home_never_gets_a_demonstration(deaf_machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A smoke alarm that nobody heard must not reach a broker, nor come from a service that started too early."""
    assert default_source(Config(mqtt=MqttConfig(host="broker"))).input == "mic"
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    assert default_source(Config()).input == "mic"


def test_the_default_microphone_comes_first(deaf_machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is one, it is what is listened to."""
    monkeypatch.setattr("monitor.audio.microphone.default_available", lambda: True)
    assert default_source(Config()).input == "mic"


def named(*sources: SourceConfig) -> list[str]:
    """What a service calls these sources."""
    return [listener.name for listener in listeners(Config(sources=sources), Grid(16000, 15600, 4000))]


def test_sources_have_names_of_their_own() -> None:
    """Also two of one kind, and one whose file is called like the topic of the commands."""
    assert named(SourceConfig(input="mic"), SourceConfig(input="mic"), SourceConfig(input="set.wav")) == [
        "mic",
        "mic-2",
        "set-2",
    ]


@pytest.mark.parametrize(("name", "why"), [("hall", "is there twice"), ("setting", "is not to be had")])
def test_a_name_that_was_chosen_badly_is_refused(name: str, why: str) -> None:
    """It is not changed behind the user's back."""
    with pytest.raises(ConfigError, match=f"{name!r} {why}"):
        named(SourceConfig(input="mic", name="hall"), SourceConfig(input="mic", name=name))
