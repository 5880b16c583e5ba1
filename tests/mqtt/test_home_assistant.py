"""The monitor and Home Assistant, at a real broker."""

import asyncio

import pytest

from monitor.config.schema import MqttConfig
from monitor.mqtt import home_assistant
from monitor.mqtt.announcement import components
from monitor.mqtt.topics import HOME_ASSISTANT_STATUS, ONLINE
from tests.mqtt.examples import BASE, Recorder, detection, eventually, health, listening
from tests.mqtt.home import ANNOUNCEMENT, announcing, at_home, box
from tests.parts.broker import Broker

pytestmark = pytest.mark.real


def topics(recorder: Recorder) -> list[str]:
    """The topics of all recorded messages, in order."""
    return [str(message.topic) for message in recorder.messages]


CHANGES = [
    box("Dog"),
    box("Cat", "Dog"),  # added
    box("Dog", "Cat"),  # in another order
    box("Kitten", "Dog"),  # renamed
    box("Dog", sources=["hall", "cellar"]),
    box("Dog", sources=["cellar"]),
    box("Dog", "dog", sources=["cellar"]),
    box(),
]


@pytest.mark.parametrize("patience", [0.0, 0.5])
async def test_home_assistant_shows_exactly_what_is_configured(
    config: MqttConfig, broker: Broker, monkeypatch: pytest.MonkeyPatch, patience: float
) -> None:
    """Whatever was announced before, and however late the broker sends it, only the configured entities remain."""
    monkeypatch.setattr(home_assistant, "PATIENCE", patience)
    async with at_home(broker.port) as home:
        for described in CHANGES:
            async with announcing(config, described):
                await eventually(lambda d=described: home.entities == components(d))  # type: ignore[misc]
        async with at_home(broker.port) as later:
            await eventually(lambda: later.entities == components(CHANGES[-1]))


async def test_a_foreign_announcement_is_replaced(config: MqttConfig, broker: Broker) -> None:
    """An invalid announcement is replaced by the present one."""
    foreign = b'{"cmps": 7}'
    async with listening(broker.port) as recorder:
        await recorder.client.publish(ANNOUNCEMENT, foreign, qos=1, retain=True)
        async with announcing(config, box("Dog")):
            await eventually(
                lambda: any(each.topic.matches(ANNOUNCEMENT) and each.payload != foreign for each in recorder.messages)
            )
    async with at_home(broker.port) as home:
        await eventually(lambda: home.entities == components(box("Dog")))


async def test_everything_is_published_again_when_home_assistant_starts(
    config: MqttConfig, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its birth message repeats the device, then all that is retained; a retained or `offline` status does not."""
    monkeypatch.setattr(home_assistant, "SETTLE", (0.1, 0.2))
    monkeypatch.setattr(home_assistant, "PATIENCE", 0.0)
    async with listening(broker.port) as recorder:
        await recorder.client.publish(HOME_ASSISTANT_STATUS, ONLINE, qos=1, retain=True)
        async with announcing(config, box("Dog")) as running:
            running.hub.publish(health())
            running.record(detection(label="Dog"))
            await eventually(
                lambda: (
                    ANNOUNCEMENT in topics(recorder)
                    and recorder.last("hall/dog/state") == b"ON"
                    and recorder.last("health")
                )
            )
            retained = {topic for topic in topics(recorder) if topic.startswith(BASE)}
            await recorder.client.publish(HOME_ASSISTANT_STATUS, b"offline", qos=1)
            await asyncio.sleep(0.5)
            assert topics(recorder).count(ANNOUNCEMENT) == 1
            recorder.messages.clear()
            await recorder.client.publish(HOME_ASSISTANT_STATUS, ONLINE, qos=1)
            retained |= {HOME_ASSISTANT_STATUS, ANNOUNCEMENT}
            await eventually(lambda: set(topics(recorder)) == retained - {f"{BASE}/hall/event", f"{BASE}/log"})
            assert list(dict.fromkeys(topics(recorder)))[:3] == [
                HOME_ASSISTANT_STATUS,
                ANNOUNCEMENT,
                f"{BASE}/availability",
            ]
            assert recorder.last("hall/dog/state") == b"ON"
