"""The sources that a configuration selects, and their names."""

import pytest

from monitor.audio.selection import selected_sources, source_names
from monitor.config.schema import Config, MqttConfig, SourceConfig
from monitor.errors import ConfigError


@pytest.fixture
def deaf_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a microphone."""
    monkeypatch.setattr("monitor.audio.microphone.default_available", lambda: False)
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)


def selected(config: Config) -> list[str]:
    """The inputs of the selected sources."""
    return [source.input for source in selected_sources(config)]


def test_without_a_microphone_the_demo_plays_and_a_warning_says_so(
    deaf_machine: None, caplog: pytest.LogCaptureFixture
) -> None:
    """A person who tries the program hears something."""
    assert selected(Config()) == ["demo"]
    assert "synthesised demonstration" in caplog.text


def test_a_home_never_gets_a_demonstration(deaf_machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A synthesised smoke alarm must not reach a broker, nor come from a service that started too early."""
    assert selected(Config(mqtt=MqttConfig(host="broker"))) == ["mic"]
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    assert selected(Config()) == ["mic"]


def test_the_default_source_is_the_default_microphone(deaf_machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the machine has one."""
    monkeypatch.setattr("monitor.audio.microphone.default_available", lambda: True)
    assert selected(Config()) == ["mic"]


def test_configured_sources_replace_the_default(deaf_machine: None) -> None:
    """In their order."""
    assert selected(Config(sources=(SourceConfig(input="a.wav"), SourceConfig(input="mic")))) == ["a.wav", "mic"]


def named(*sources: SourceConfig) -> list[str]:
    """The names of these sources, where `set` and `setting` are reserved."""
    return source_names(sources, {"set", "setting"})


def test_derived_names_are_unique_and_not_reserved() -> None:
    """A number is appended to a duplicate or reserved name."""
    assert named(SourceConfig(input="mic"), SourceConfig(input="mic"), SourceConfig(input="set.wav")) == [
        "mic",
        "mic-2",
        "set-2",
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hall", "sources: duplicate source name 'hall'; choose another"),
        ("setting", "sources: source name 'setting' is reserved; choose another"),
    ],
)
def test_a_configured_name_that_is_taken_is_an_error(name: str, message: str) -> None:
    """It is not changed silently."""
    with pytest.raises(ConfigError) as caught:
        named(SourceConfig(input="mic", name="hall"), SourceConfig(input="mic", name=name))
    assert str(caught.value) == message
