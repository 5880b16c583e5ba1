"""Retained topics are cleared, at a real broker: leftovers of another configuration, or all of a monitor's."""

import asyncio

import aiomqtt
import pytest

from monitor.config.schema import MqttConfig
from monitor.messages import Phase
from monitor.mqtt import client as mqtt_client
from monitor.mqtt import publisher
from monitor.mqtt.announcement import components
from monitor.mqtt.cleanup import Cleared, clear
from tests.mqtt.examples import BASE, detection, eventually, listening
from tests.mqtt.home import ANNOUNCEMENT, announcing, at_home, box
from tests.mqtt.test_home_assistant import topics
from tests.parts.broker import Broker

pytestmark = pytest.mark.real


async def test_what_an_earlier_configuration_left_is_cleared(config: MqttConfig, broker: Broker) -> None:
    """Only topics of this monitor that are no longer configured are cleared."""
    async with listening(broker.port) as recorder:
        foreign = "sound-monitor/other/cellar/cat/state"
        for topic in (foreign, f"{BASE}/setting/cat/enabled", f"{BASE}/setting/dog/enabled", f"{BASE}/hall/level"):
            await recorder.client.publish(topic, b"ON", qos=1, retain=True)
        async with announcing(config, box("Dog", "Cat", sources=["hall", "cellar"])) as running:
            running.record(detection(label="Cat"))
            await eventually(lambda: recorder.last("hall/cat/state") == b"ON")
        async with announcing(config, box("Dog")):
            gone = [f"cellar/{name}" for name in ("availability", "dog/state", "any/state", "problem/state")]
            gone += ["hall/cat/state", "hall/cat/attributes", "setting/cat/enabled", "hall/level"]
            await eventually(lambda: all(recorder.last(topic) == b"" for topic in gone))
    async with listening(broker.port) as late:
        await eventually(lambda: late.last("setting/dog/enabled"))
        left = {str(message.topic) for message in late.messages if message.topic.matches("sound-monitor/#")}
        expected = {"availability", "hall/availability", "setting/dog/enabled"}
        expected |= {f"hall/{each}" for each in ("dog/state", "any/state", "any/attributes", "problem/state")}
        assert left == {foreign, *(f"{BASE}/{topic}" for topic in expected)}


async def test_clear_removes_everything_of_a_monitor(config: MqttConfig, broker: Broker) -> None:
    """The device and all topics are gone, a second clear finds nothing, and other monitors stay."""
    other = "sound-monitor/other/availability"
    async with at_home(broker.port) as home, listening(broker.port) as recorder:
        await recorder.client.publish(other, b"online", qos=1, retain=True)
        async with announcing(config, box("Dog")) as running:
            running.record(detection(Phase.STARTED, label="Dog"))
            await eventually(lambda: home.entities and recorder.last("hall/dog/state") == b"ON")
        entities = len(home.entities)
        cleared = await clear(config, "box")
        assert (cleared.entities, cleared.running) == (entities, False)
        assert cleared.topics > 4
        await eventually(lambda: not home.devices)
        assert await clear(config, "box") == Cleared(None, 0, False)
    async with listening(broker.port) as late:
        await eventually(lambda: late.messages)
        assert [str(message.topic) for message in late.messages] == [other]


async def test_clear_reports_that_the_monitor_runs(config: MqttConfig, broker: Broker) -> None:
    """A running monitor is reported; what it publishes meanwhile is not counted."""
    async with announcing(config, box("Dog")) as running, listening(broker.port) as recorder:
        await eventually(lambda: ANNOUNCEMENT in topics(recorder))
        retained = {topic for topic in topics(recorder) if topic.startswith(BASE)}
        clearing = asyncio.create_task(clear(config, "box"))
        await asyncio.sleep(0.3)
        running.record(detection(label="Dog"))
        assert await clearing == Cleared(len(components(box("Dog"))), len(retained), True)


@pytest.mark.parametrize(("count", "room"), [(2_500, 10_000), (300, 100)])
async def test_thousands_of_leftovers_are_cleared(
    config: MqttConfig, broker: Broker, count: int, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are cleared in one run, also if they are more than the broker sends at once, or than can wait."""
    monkeypatch.setattr(publisher, "READ_AGAIN", 0.2)
    old = [f"{BASE}/hall/sound_{number}/state" for number in range(count)]
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        for first in range(0, len(old), 50):
            await asyncio.gather(
                *(client.publish(each, b"OFF", qos=1, retain=True) for each in old[first : first + 50])
            )
    monkeypatch.setattr(mqtt_client, "INBOX", room)
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        left = set(old)

        async def watch() -> None:
            await client.subscribe(f"{BASE}/hall/+/state", qos=0)
            async for message in client.messages:
                if not message.payload:
                    left.discard(str(message.topic))

        watching = asyncio.create_task(watch())
        async with announcing(config, box("Dog")):
            await eventually(lambda: not left, within=60)
        watching.cancel()
        await asyncio.wait([watching])
