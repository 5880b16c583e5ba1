"""A small Home Assistant: it validates announcements and keeps their entities."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiomqtt
import msgspec

from monitor.config.schema import MqttConfig
from monitor.mqtt.announcement import Device
from monitor.mqtt.cleanup import Leftovers
from monitor.mqtt.control import controls
from monitor.mqtt.home_assistant import HomeAssistant
from monitor.mqtt.topics import Topics
from tests.mqtt.examples import Running, publishing

TOPICS = Topics("sound-monitor", "box")
ANNOUNCEMENT = TOPICS.announcement("homeassistant")

ID = re.compile(r"[a-zA-Z0-9_-]+\Z")
ROOT = {"dev", "o", "cmps", "availability", "availability_mode", "qos", "encoding"}
COMMON = {"p", "unique_id", "name", "default_entity_id", "object_id", "availability", "entity_category"}
READ = {"state_topic", "json_attributes_topic", "value_template", "device_class"}
PLATFORMS = {
    "binary_sensor": READ,
    "sensor": READ | {"unit_of_measurement", "state_class"},
    "event": READ | {"event_types"},
    "switch": READ | {"command_topic"},
    "select": READ | {"command_topic", "options"},
    "number": READ | {"command_topic", "min", "max", "step", "mode"},
}
DEVICE_CLASSES = {
    "binary_sensor": {"sound", "smoke", "carbon_monoxide", "problem", None},
    "sensor": {"duration", None},
}
LIMIT = 255
"""Characters of an entity's state, and of most names."""


def validate(topic: str, payload: bytes) -> dict[str, dict[str, Any]]:
    """The components of an announcement without those that it removes. Fails where Home Assistant would."""
    prefix, device, identifier, config = topic.split("/")
    assert (prefix, device, config) == ("homeassistant", "device", "config")
    assert ID.match(identifier)
    root = msgspec.json.decode(payload)
    assert root.keys() == ROOT
    assert root["dev"].keys() == {"ids", "name", "mf", "mdl", "sw"}
    assert all(ID.match(name) for name in root["dev"]["ids"])
    assert root["o"]["name"]
    assert root["availability_mode"] == "all"
    assert root["qos"] in (0, 1, 2)
    _validate_availability(root["availability"])
    alive = {key: component for key, component in root["cmps"].items() if component.keys() != {"p"}}
    for key, component in root["cmps"].items():
        assert ID.match(key)
        assert component["p"] in PLATFORMS
        if key in alive:
            _validate_component(component)
    for unique in ("unique_id", "name"):
        assert all(count == 1 for count in Counter(each[unique] for each in alive.values()).values())
    return alive


def _validate_component(component: dict[str, Any]) -> None:
    platform = component["p"]
    assert component.keys() - COMMON <= PLATFORMS[platform]
    assert {"unique_id", "name", "default_entity_id", "object_id", "state_topic"} <= component.keys()
    assert ID.match(component["unique_id"])
    assert 0 < len(component["name"]) <= LIMIT
    assert component["default_entity_id"] == f"{platform}.{component['object_id']}"
    assert re.match(r"[a-z0-9_]+\Z", component["object_id"])
    assert component.get("entity_category") in (
        {"config", None} if "command_topic" in component else {"diagnostic", None}
    )
    assert component.get("device_class") in DEVICE_CLASSES.get(platform, {None})
    for key, value in component.items():
        if key.endswith("_topic"):
            assert not set(value) & set("+#")
    if "availability" in component:
        _validate_availability(component["availability"])
    if platform == "event":
        assert component["event_types"]
    if platform in ("switch", "select", "number"):
        assert component["command_topic"]
    if platform == "select":
        assert component["options"]


def _validate_availability(topics: list[dict[str, str]]) -> None:
    assert topics
    assert all(each.keys() == {"topic"} for each in topics)  # its payloads are the defaults: online, offline


@dataclass
class Home:
    """The entities in Home Assistant. As there, an entity goes only if it is announced as removed."""

    client: aiomqtt.Client
    devices: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    """Entities by key, by the topic of their device."""
    announcements: int = 0

    @property
    def entities(self) -> dict[str, dict[str, Any]]:
        """The entities of the only device; empty without a device."""
        assert len(self.devices) < 2
        return next(iter(self.devices.values()), {})

    def announced(self, topic: str, payload: bytes) -> None:
        """Process an announcement."""
        self.announcements += 1
        if not payload:
            self.devices.pop(topic, None)
            return
        alive = validate(topic, payload)
        device = self.devices.setdefault(topic, {})
        device.update(alive)
        for key in msgspec.json.decode(payload)["cmps"].keys() - alive.keys():
            device.pop(key, None)


@asynccontextmanager
async def at_home(port: int) -> AsyncIterator[Home]:
    """A running Home Assistant."""
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe("homeassistant/device/+/config", qos=1)
        home = Home(client)

        async def listen() -> None:
            async for message in client.messages:
                home.announced(str(message.topic), message.payload)

        task = asyncio.create_task(listen())
        try:
            yield home
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()


def box(*labels: str, sources: Sequence[str] = ("hall",)) -> Device:
    """The node `box` with these sounds, and all their controls."""
    return Device(TOPICS, sources, {label: [label] for label in labels}, controls(TOPICS, labels, ()))


@asynccontextmanager
async def announcing(config: MqttConfig, device: Device) -> AsyncIterator[Running]:
    """A publisher that announces this device, and clears what an earlier one left."""
    home = HomeAssistant(device, "homeassistant", lambda: running.publisher.repeat())
    companions = (Leftovers(device), home)
    async with publishing(config, *companions, sources=device.sources, labels=list(device.sounds)) as running:
        yield running
