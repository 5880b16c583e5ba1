"""The monitor and Home Assistant, at a real broker."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from monitor.config.schema import MqttConfig
from monitor.messages import Phase
from monitor.mqtt import home_assistant
from monitor.mqtt.cleanup import Cleared, clear
from monitor.mqtt.controls import controls
from monitor.mqtt.discovery import Device, components, config_topic
from monitor.mqtt.home_assistant import BIRTH, HomeAssistant
from monitor.mqtt.leftovers import Leftovers
from monitor.mqtt.topics import ONLINE, Topics
from tests.mqtt.examples import BASE, Ear, Running, detection, eventually, health, listening, publishing
from tests.mqtt.home import at_home
from tests.parts.broker import Broker

TOPICS = Topics("sound-monitor", "box")
CONFIG = config_topic("homeassistant", TOPICS)


def device(*labels: str, sources: Sequence[str] = ("hall",)) -> Device:
    """The box, with all its controls."""
    return Device(TOPICS, sources, {label: [label] for label in labels}, controls(TOPICS.prefix, "box", labels, ()))


@asynccontextmanager
async def announcing(config: MqttConfig, device: Device) -> AsyncIterator[Running]:
    """A monitor that announces itself."""
    home = HomeAssistant(device, "homeassistant", lambda: running.publisher.tell_again())
    companions = (Leftovers(device), home)
    async with publishing(config, *companions, sources=device.sources, labels=list(device.sounds)) as running:
        yield running


def told(ear: Ear) -> list[str]:
    """The topics of all that was heard, in order."""
    return [str(message.topic) for message in ear.heard]


CHANGES = [
    device("Dog"),
    device("Cat", "Dog"),  # added
    device("Dog", "Cat"),  # in another order
    device("Kitten", "Dog"),  # renamed
    device("Dog", sources=["hall", "cellar"]),
    device("Dog", sources=["cellar"]),
    device("Dog", "dog", sources=["cellar"]),
    device(),
]


@pytest.mark.parametrize("patience", [0.0, 0.5])
async def test_home_assistant_shows_exactly_what_is_configured(
    config: MqttConfig, broker: Broker, monkeypatch: pytest.MonkeyPatch, patience: float
) -> None:
    """Whatever was configured before, and however late the broker hands out what was announced then."""
    monkeypatch.setattr(home_assistant, "PATIENCE", patience)
    async with at_home(broker.port) as home:
        for described in CHANGES:
            async with announcing(config, described):
                await eventually(lambda d=described: home.entities == components(d))  # type: ignore[misc]
        async with at_home(broker.port) as later:
            await eventually(lambda: later.entities == components(CHANGES[-1]))


async def test_a_foreign_announcement_is_replaced(config: MqttConfig, broker: Broker) -> None:
    """What cannot be read leaves no ghosts that we could know of."""
    foreign = b'{"cmps": 7}'
    async with listening(broker.port) as ear:
        await ear.client.publish(CONFIG, foreign, qos=1, retain=True)
        async with announcing(config, device("Dog")):
            await eventually(lambda: any(each.topic.matches(CONFIG) and each.payload != foreign for each in ear.heard))
    async with at_home(broker.port) as home:
        await eventually(lambda: home.entities == components(device("Dog")))


async def test_home_assistant_is_told_everything_when_it_starts(
    config: MqttConfig, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device first, then all that is retained; not when it stops, nor for a start long ago."""
    monkeypatch.setattr(home_assistant, "SETTLE", (0.1, 0.2))
    monkeypatch.setattr(home_assistant, "PATIENCE", 0.0)
    async with listening(broker.port) as ear:
        await ear.client.publish(BIRTH, ONLINE, qos=1, retain=True)
        async with announcing(config, device("Dog")) as running:
            running.hub.publish(health())
            running.hear(detection(label="Dog"))
            await eventually(lambda: CONFIG in told(ear) and ear.last("hall/dog/state") == b"ON" and ear.last("health"))
            retained = {topic for topic in told(ear) if topic.startswith(BASE)}
            await ear.client.publish(BIRTH, b"offline", qos=1)
            await asyncio.sleep(0.5)
            assert told(ear).count(CONFIG) == 1
            ear.heard.clear()
            await ear.client.publish(BIRTH, ONLINE, qos=1)
            retained |= {BIRTH, CONFIG}
            await eventually(lambda: set(told(ear)) == retained - {f"{BASE}/hall/event", f"{BASE}/log"})
            assert list(dict.fromkeys(told(ear)))[:3] == [BIRTH, CONFIG, f"{BASE}/availability"]
            assert ear.last("hall/dog/state") == b"ON"


async def test_what_an_earlier_configuration_left_is_cleared(config: MqttConfig, broker: Broker) -> None:
    """Of this monitor, not of others; what is still there stays."""
    async with listening(broker.port) as ear:
        foreign = "sound-monitor/other/cellar/cat/state"
        for topic in (foreign, f"{BASE}/setting/cat/enabled", f"{BASE}/setting/dog/enabled", f"{BASE}/hall/level"):
            await ear.client.publish(topic, b"ON", qos=1, retain=True)
        async with announcing(config, device("Dog", "Cat", sources=["hall", "cellar"])) as running:
            running.hear(detection(label="Cat"))
            await eventually(lambda: ear.last("hall/cat/state") == b"ON")
        async with announcing(config, device("Dog")):
            gone = [f"cellar/{name}" for name in ("availability", "dog/state", "any/state", "problem/state")]
            gone += ["hall/cat/state", "hall/cat/attributes", "setting/cat/enabled", "hall/level"]
            await eventually(lambda: all(ear.last(topic) == b"" for topic in gone))
    async with listening(broker.port) as late:
        await eventually(lambda: late.last("setting/dog/enabled"))
        left = {str(message.topic) for message in late.heard if message.topic.matches("sound-monitor/#")}
        expected = {"availability", "hall/availability", "setting/dog/enabled"}
        expected |= {f"hall/{each}" for each in ("dog/state", "any/state", "any/attributes", "problem/state")}
        assert left == {foreign, *(f"{BASE}/{topic}" for topic in expected)}


async def test_clear_leaves_nothing_of_a_monitor_behind(config: MqttConfig, broker: Broker) -> None:
    """Nor anything to be cleared; other monitors stay."""
    other = "sound-monitor/other/availability"
    async with at_home(broker.port) as home, listening(broker.port) as ear:
        await ear.client.publish(other, b"online", qos=1, retain=True)
        async with announcing(config, device("Dog")) as running:
            running.hear(detection(Phase.STARTED, label="Dog"))
            await eventually(lambda: home.entities and ear.last("hall/dog/state") == b"ON")
        entities = len(home.entities)
        cleared = await clear(config, "box")
        assert (cleared.entities, cleared.running) == (entities, False)
        assert cleared.topics > 4
        await eventually(lambda: not home.devices)
        assert await clear(config, "box") == Cleared(None, 0, False)
    async with listening(broker.port) as late:
        await eventually(lambda: late.heard)
        assert [str(message.topic) for message in late.heard] == [other]


async def test_clear_says_that_the_monitor_runs(config: MqttConfig, broker: Broker) -> None:
    """It would announce itself again; what it tells meanwhile is not counted."""
    async with announcing(config, device("Dog")) as running, listening(broker.port) as ear:
        await eventually(lambda: CONFIG in told(ear))
        retained = {topic for topic in told(ear) if topic.startswith(BASE)}
        clearing = asyncio.create_task(clear(config, "box"))
        await asyncio.sleep(0.3)
        running.hear(detection(label="Dog"))
        assert await clearing == Cleared(len(components(device("Dog"))), len(retained), True)
