"""`tui`: the display of a running monitor, on a real terminal and at a real broker."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.broker import Broker
from tests.parts.pane import Pane, needs_tmux

pytestmark = [pytest.mark.real, needs_tmux]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A running broker without passwords."""
    with Broker(tmp_path) as running:
        yield running


@pytest.fixture
def config(tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> str:
    """The path of a configuration for the broker; the state folder is the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = tmp_path / "config.yaml"
    path.write_text(f"mqtt: {{host: 127.0.0.1, port: {broker.port}}}")
    return str(path)


@pytest.mark.parametrize(("name", "code"), [("TERM", 143), ("HUP", 129)])
def test_a_signal_leaves_a_clean_terminal(tmux_socket: Path, config: str, name: str, code: int) -> None:
    """SIGTERM and SIGHUP restore the terminal, and the exit code says which it was."""
    pane = Pane(tmux_socket, "tui", "-c", config, module="monitor")
    pane.wait_for("? Help")
    pane.signal(name)
    pane.wait_for(f"code: {code}")
    pane.assert_clean()
