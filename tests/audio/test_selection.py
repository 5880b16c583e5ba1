"""The sources that a configuration selects, and their names."""

import pytest

from monitor.audio.selection import selected_sources, source_names
from monitor.config.schema import Config, MqttConfig, SourceConfig
from monitor.errors import ConfigError


@pytest.fixture
def deaf_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this a machine without a microphone."""
    monkeypatch.setattr("monitor.audio.inputs.microphone.default_available", lambda: False)
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)


def selected(config: Config) -> list[str]:
    """Return the inputs of the selected sources."""
    return [source.input for source in selected_sources(config)]


def test_without_a_microphone_the_demo_plays_and_a_warning_says_so(
    deaf_machine: None, caplog: pytest.LogCaptureFixture
) -> None:
    """On a machine without a microphone the demo plays, and a warning says so."""
    assert selected(Config()) == ["demo"]
    assert "synthesised demonstration" in caplog.text


def test_a_home_never_gets_a_demonstration(deaf_machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A monitor with a broker, and one that runs as a service, never plays the demo."""
    assert selected(Config(mqtt=MqttConfig(host="broker"))) == ["mic"]
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    assert selected(Config()) == ["mic"]


def test_the_default_source_is_the_default_microphone(deaf_machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a microphone uses its default one."""
    monkeypatch.setattr("monitor.audio.inputs.microphone.default_available", lambda: True)
    assert selected(Config()) == ["mic"]


def test_configured_sources_replace_the_default(deaf_machine: None) -> None:
    """Configured sources are used in their order."""
    assert selected(Config(sources=(SourceConfig(input="a.wav"), SourceConfig(input="mic")))) == ["a.wav", "mic"]


def named(*sources: SourceConfig) -> list[str]:
    """Return the names of these sources; `set` and `setting` are reserved."""
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
    """A duplicate or reserved name is never changed silently."""
    with pytest.raises(ConfigError) as caught:
        named(SourceConfig(input="mic", name="hall"), SourceConfig(input="mic", name=name))
    assert str(caught.value) == message
