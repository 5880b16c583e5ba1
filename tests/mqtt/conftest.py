"""A real broker, and the configuration to reach it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.config.schema import MqttConfig
from tests.parts.broker import Broker


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A running broker without passwords."""
    with Broker(tmp_path) as running:
        yield running


@pytest.fixture
def config(broker: Broker) -> MqttConfig:
    """The configuration for `broker`, with a keepalive short enough for a test."""
    return MqttConfig(host="127.0.0.1", port=broker.port, keepalive=1, live_interval=0.3)
