"""The announcement of the monitor to Home Assistant: one device with its entities, for device-based discovery.

Pure: topics, names and controls in, JSON out. Keys and unique ids depend only on node, source and sound, so that an
entity keeps its identity whatever else is configured, and in whatever order.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from monitor import __version__
from monitor.mqtt.control import Control, Role
from monitor.mqtt.topics import ANY_SOUND, PROBLEM, Topics, slug, slugs

Component = dict[str, object]
"""The description of an entity, as Home Assistant expects it; `p` is its platform."""

SOUND_CLASSES = {"smoke": "smoke", "fire alarm": "smoke", "carbon monoxide": "carbon_monoxide"}
"""Words in a sound's name that select a more specific device class of Home Assistant than `sound`."""

STEP = 0.01
"""Step of a threshold's slider."""

STARTED_ONLY = "{{ value if value_json.phase == 'started' else '' }}"
"""The event entity fires when a sound starts; its end shows in the binary sensor."""


@dataclass(frozen=True, slots=True)
class Device:
    """What is announced, known before the monitor runs."""

    topics: Topics
    sources: Sequence[str]
    sounds: Mapping[str, Sequence[str]]
    """Each label, with the model's classes that mean it."""
    controls: Sequence[Control] = ()
    level: bool = False
    """Whether the levels of the sources are published."""


def announcement(device: Device, gone: Mapping[str, str] | None = None) -> bytes:
    """The JSON that describes the device. `gone` maps the keys of entities to remove to their platforms."""
    removed = {key: {"p": platform} for key, platform in (gone or {}).items()}
    return msgspec.json.encode(
        {
            "dev": {
                "ids": [device.topics.identifier],
                "name": device.topics.node,
                "mf": "sound-monitor",
                "mdl": "Sound event monitor",
                "sw": __version__,
            },
            "o": {"name": "sound-monitor", "sw": __version__},
            "availability": _available(device.topics.availability),
            "availability_mode": "all",
            "qos": 1,
            "encoding": "utf-8",
            "cmps": components(device) | removed,
        }
    )


class _Stub(msgspec.Struct):
    p: str


class _Announcement(msgspec.Struct):
    cmps: dict[str, _Stub]


def platforms(payload: bytes) -> dict[str, str]:
    """The platform of each component in an announcement, by key; empty if it is invalid."""
    try:
        earlier = msgspec.json.decode(payload, type=_Announcement)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return {key: component.p for key, component in earlier.cmps.items()}


def components(device: Device) -> dict[str, Component]:
    """All entities, by key; their names are unique."""
    found: dict[str, Component] = {}
    names: set[str] = set()
    for key, platform, name, place, details in _entities(device):
        unique = name
        while unique in names:
            unique += f" ({platform.replace('_', ' ')})"
        names.add(unique)
        entity = f"{slug(device.topics.node)}_{place}"
        found[key] = {
            "p": platform,
            "unique_id": f"{device.topics.identifier}-{key}",
            "name": unique,
            "default_entity_id": f"{platform}.{entity}",
            "object_id": entity,  # the same, for Home Assistant before 2026.4
            **details,
        }
    return found


_Entity = tuple[str, str, str, str, Component]
"""Key, platform, name, entity id without domain and node, other fields."""


def _entities(device: Device) -> Iterator[_Entity]:
    for source in device.sources:
        where = f" ({source})" if len(device.sources) > 1 else ""
        for key, platform, name, place, details in _of_source(device, source):
            yield key, platform, f"{name}{where}", f"{slug(source)}_{place}", details
    yield from _diagnostics(device.topics)
    yield from map(_of_control, device.controls)


def _of_source(device: Device, source: str) -> Iterator[_Entity]:
    topics = device.topics
    here: Component = {"availability": _available(topics.availability, topics.source_availability(source))}

    def binary(sound: str, kind: str) -> Component:
        state, attributes = topics.state(source, sound), topics.attributes(source, sound)
        return here | {"device_class": kind, "state_topic": state, "json_attributes_topic": attributes}

    yield f"any-{source}", "binary_sensor", "Any sound", ANY_SOUND, binary(ANY_SOUND, "sound")
    if device.sounds:
        event: Component = {"state_topic": topics.event(source), "event_types": list(device.sounds)}
        yield f"event-{source}", "event", "Sound heard", "heard", here | event | {"value_template": STARTED_ONLY}
    problem = {key: value for key, value in binary(PROBLEM, "problem").items() if key != "availability"}
    yield f"problem-{source}", "binary_sensor", "Problem", PROBLEM, problem | {"entity_category": "diagnostic"}
    if device.level:
        unit: Component = {"unit_of_measurement": "dBFS", "state_class": "measurement"}
        yield f"level-{source}", "sensor", "Level", "level", here | {"state_topic": topics.level(source)} | unit
    for label, sound in slugs(device.sounds).items():
        kind = device_class(label, device.sounds[label])
        yield f"sound-{source}-{sound}", "binary_sensor", label, sound, binary(sound, kind)


def _diagnostics(topics: Topics) -> Iterator[_Entity]:
    """Sensors of the monitor, rounded so that Home Assistant does not store a new value for each health report."""

    def sensor(key: str, name: str, template: str, details: Component) -> _Entity:
        common: Component = {"state_topic": topics.health, "value_template": template, "entity_category": "diagnostic"}
        return key, "sensor", name, key, common | details

    time: Component = {"device_class": "duration", "state_class": "measurement"}
    inference = "{{ (value_json.inference_p95 * 1000) | round(0) | int }}"
    yield sensor("inference", "Inference time", inference, time | {"unit_of_measurement": "ms"})
    dropped = "{{ value_json.sources | map(attribute='windows_dropped') | sum }}"
    yield sensor("dropped", "Windows dropped", dropped, {"state_class": "total_increasing"})
    uptime = "{{ (value_json.uptime / 3600) | round(1) }}"
    yield sensor("uptime", "Uptime", uptime, time | {"unit_of_measurement": "h"})


def _of_control(control: Control) -> _Entity:
    details: Component = {"command_topic": control.command_topic, "state_topic": control.state_topic}
    if control.label is not None:
        details["entity_category"] = "config"
    match control.role:
        case Role.PAUSE | Role.ENABLED:
            platform = "switch"
        case Role.PROFILE:
            platform = "select"
            details["options"] = list(control.options)
        case Role.THRESHOLD:
            platform = "number"
            details |= {"min": 0, "max": 1, "step": STEP, "mode": "slider"}
    key = control.key.replace("/", "-")
    return f"set-{key}", platform, control.name, key.replace("-", "_"), details


def device_class(label: str, classes: Sequence[str]) -> str:
    """Home Assistant's device class for a sound: from its label, or else from the model's classes if they all agree."""
    means = {_class_of(name) for name in classes}
    return _class_of(label) or (means.pop() if len(means) == 1 else "") or "sound"


def _class_of(name: str) -> str:
    found = (kind for words, kind in SOUND_CLASSES.items() if re.search(rf"\b{words}\b", name, re.IGNORECASE))
    return next(found, "")


def _available(*topics: str) -> list[dict[str, str]]:
    return [{"topic": topic} for topic in topics]
