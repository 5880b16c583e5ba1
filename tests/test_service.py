"""The service as a whole, in this process."""

import pytest

from monitor.config import Config, MqttConfig
from monitor.service import default_source


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
