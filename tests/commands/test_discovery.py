"""`discovery clear`, and the announcement to Home Assistant before it."""

import asyncio
import signal
from pathlib import Path

import pytest

from tests.mqtt.examples import eventually, listening
from tests.mqtt.home import at_home
from tests.parts.broker import Broker
from tests.parts.cli import Program, ended

pytestmark = pytest.mark.real

CONFIG = """
node: test
sources: [{{input: burst.wav, loop: true, name: room}}]
model: {{name: tiny}}
detection: {{rules: [{{label: Loud, preset: impulsive}}]}}
profiles: [{{name: night, sounds: [{{label: Loud, enabled: false}}]}}]
mqtt: {{host: 127.0.0.1, port: {port}, discovery: {discovery}}}
"""


def configure(program: Program, broker: Broker, discovery: bool = True) -> None:
    """Configure a monitor with one sound and one room."""
    text = CONFIG.format(port=broker.port, discovery=str(discovery).lower())
    (program.folder / "config.yaml").write_text(text)


@pytest.fixture
def broker(tmp_path: Path) -> Broker:
    """A broker in a folder of its own, not started yet."""
    (tmp_path / "broker").mkdir()
    return Broker(tmp_path / "broker")


async def test_a_monitor_shows_up_in_home_assistant_and_goes_when_it_is_cleared(
    program: Program, broker: Broker
) -> None:
    """A monitor announces the entities of its room, its sound and its controls; `clear` removes and counts them."""
    configure(program, broker)
    with broker:
        async with at_home(broker.port) as home:
            process = program.start("run", "--no-tui")
            try:
                await eventually(lambda: home.entities)
            finally:
                process.send_signal(signal.SIGTERM)
                await asyncio.to_thread(ended, process)
            assert home.entities.keys() == {
                *("any-room", "event-room", "problem-room", "sound-room-loud"),
                *("inference", "dropped", "uptime"),
                *("set-pause", "set-profile", "set-loud-enabled", "set-loud-threshold"),
            }
            done = await asyncio.to_thread(program.run, "discovery", "clear")
            assert (done.code, done.err) == (0, "")
            assert done.out.startswith("test: removed the device with 11 entities from Home Assistant, and ")
            await eventually(lambda: not home.devices)
        again = await asyncio.to_thread(program.run, "discovery", "clear", "--node", "other")
        assert again.out == "other: removed no device from Home Assistant, and 0 retained topics\n"


async def test_without_discovery_nothing_is_announced(program: Program, broker: Broker) -> None:
    """With `discovery: false` everything but the announcement is published."""
    configure(program, broker, discovery=False)
    with broker:
        async with listening(broker.port) as recorder:
            process = program.start("run", "--no-tui")
            try:
                await eventually(
                    lambda: any(each.topic.matches("sound-monitor/test/room/live") for each in recorder.messages)
                )
            finally:
                process.send_signal(signal.SIGTERM)
                await asyncio.to_thread(ended, process)
            assert not any(each.topic.matches("homeassistant/#") for each in recorder.messages)


def test_a_wildcard_as_the_node_is_refused(program: Program, broker: Broker) -> None:
    """A wildcard as the node is refused: it would clear every monitor."""
    configure(program, broker)
    done = program.run("discovery", "clear", "--node", "+")
    assert (done.code, done.out) == (2, "")
    assert "--node +: a node name has only letters, digits, - and _" in done.err


def test_a_broker_is_needed(program: Program) -> None:
    """Without a configured broker there is an error that names mqtt.host."""
    done = program.run("discovery", "clear")
    assert (done.code, done.out) == (78, "")
    assert "set mqtt.host" in done.err


def test_a_broker_that_is_away_is_reported(program: Program, broker: Broker) -> None:
    """A broker that does not answer is an error."""
    configure(program, broker)
    done = program.run("discovery", "clear")
    assert (done.code, done.out) == (69, "")
    assert f"connection to 127.0.0.1:{broker.port} refused" in done.err
