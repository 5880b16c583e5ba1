"""The announcement, checked against the rules of Home Assistant."""

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.schema import LABEL, NAME
from monitor.mqtt.announcement import Device, announcement, components, device_class, platforms
from monitor.mqtt.control import controls
from monitor.mqtt.topics import Topics
from tests.mqtt.home import validate

TOPICS = Topics("sound-monitor", "box")


def device(*labels: str, sources: Sequence[str] = ("hall",), topics: Topics = TOPICS, level: bool = False) -> Device:
    """A monitor with all its controls."""
    return Device(
        topics,
        sources,
        {label: [label] for label in labels},
        controls(topics, labels, ("normal", "night")),
        level,
    )


def accepted(device: Device) -> dict[str, dict[str, Any]]:
    """The entities that Home Assistant creates."""
    return validate(device.topics.announcement("homeassistant"), announcement(device))


def test_each_source_and_each_sound_has_its_entities() -> None:
    """Each source has its entities, each sound its own, and the monitor its diagnostics and controls."""
    found = accepted(device("Smoke alarm", "Dog", sources=["hall", "cellar"]))
    of_a_source = ("any-{}", "event-{}", "problem-{}", "sound-{}-smoke_alarm", "sound-{}-dog")
    assert found.keys() == {
        *(key.format(source) for source in ("hall", "cellar") for key in of_a_source),
        *("inference", "dropped", "uptime", "set-pause", "set-profile"),
        *("set-smoke_alarm-enabled", "set-smoke_alarm-threshold", "set-dog-enabled", "set-dog-threshold"),
    }
    assert found["event-hall"]["event_types"] == ["Smoke alarm", "Dog"]
    assert found["set-profile"]["options"] == ["normal", "night"]
    platform_of = {key: each["p"] for key, each in found.items() if key.startswith("set-")}
    assert platform_of == {
        "set-pause": "switch",
        "set-profile": "select",
        "set-smoke_alarm-enabled": "switch",
        "set-smoke_alarm-threshold": "number",
        "set-dog-enabled": "switch",
        "set-dog-threshold": "number",
    }


def test_a_level_has_an_entity_only_if_it_is_published() -> None:
    """With `mqtt.level` each source has a level."""
    assert accepted(device("Dog", level=True)).keys() - accepted(device("Dog")).keys() == {"level-hall"}


def test_a_sound_is_available_only_while_its_source_hears() -> None:
    """Sounds need the monitor and their source; problem and diagnostics need the monitor alone."""
    found = accepted(device("Dog"))
    both = [{"topic": TOPICS.availability}, {"topic": TOPICS.source_availability("hall")}]
    assert {key for key, component in found.items() if component.get("availability") == both} == {
        "any-hall",
        "event-hall",
        "sound-hall-dog",
    }
    assert all("availability" not in found[key] for key in ("problem-hall", "uptime", "set-pause"))


def test_a_name_contains_the_source_only_if_there_are_several() -> None:
    """With one source the name is the label; Home Assistant puts the device's name before it."""
    assert accepted(device("Dog"))["sound-hall-dog"]["name"] == "Dog"
    assert accepted(device("Dog", sources=["hall", "cellar"]))["sound-hall-dog"]["name"] == "Dog (hall)"


def test_unique_ids_depend_on_no_order_and_no_neighbours() -> None:
    """Adding sounds or sources changes no unique id."""
    alone = {component["unique_id"] for component in components(device("Dog")).values()}
    for labels in permutations(("Dog", "Cat", "Any sound")):
        for sources in permutations(("hall", "cellar")):
            assert alone < {each["unique_id"] for each in components(device(*labels, sources=sources)).values()}


@given(
    st.text(min_size=1, max_size=20).filter(lambda text: not set(text) & set("+#/")),
    st.from_regex(NAME),
    st.lists(st.from_regex(NAME), min_size=1, max_size=3, unique=True),
    st.lists(
        st.one_of(st.sampled_from(["any", "Any sound", "problem", "Sound heard", "Uptime"]), st.from_regex(LABEL)),
        max_size=6,
        unique=True,
    ),
)
def test_any_configuration_is_accepted(prefix: str, node: str, sources: list[str], labels: list[str]) -> None:
    """Any valid names give a valid announcement, with the same entities for each source."""
    found = accepted(device(*labels, sources=sources, topics=Topics(prefix, node), level=True))
    assert len(found) == len(sources) * (3 + bool(labels) + len(labels)) + 5 + 2 * len(labels)


@pytest.mark.parametrize(
    ("label", "classes", "expected"),
    [
        ("Smoke alarm", ["Smoke detector, smoke alarm", "Fire alarm"], "smoke"),
        ("Rauchmelder", ["Smoke detector, smoke alarm", "Fire alarm"], "smoke"),
        ("Any alarm", ["Smoke detector, smoke alarm", "Siren"], "sound"),
        ("Smokey the dog", ["Bark"], "sound"),
        ("Dog", [], "sound"),
        ("Carbon monoxide alarm", ["Beep, bleep"], "carbon_monoxide"),
    ],
)
def test_the_device_class_of_a_sound(label: str, classes: list[str], expected: str) -> None:
    """The class is smoke or carbon monoxide only if the label or all classes say so."""
    assert device_class(label, classes) == expected


def test_a_removed_entity_is_announced_with_its_platform_alone() -> None:
    """Home Assistant removes entities that are announced so."""
    before, after = device("Dog", "Cat"), device("Dog")
    old, new = platforms(announcement(before)), platforms(announcement(after))
    gone = {key: old[key] for key in old.keys() - new.keys()}
    assert gone.keys() == {"sound-hall-cat", "set-cat-enabled", "set-cat-threshold"}
    both = announcement(after, gone)
    assert validate(TOPICS.announcement("homeassistant"), both).keys() == new.keys()
    assert platforms(both) == old


@given(st.one_of(st.binary(), st.recursive(st.none() | st.text(), st.lists).map(msgspec.json.encode)))
def test_an_invalid_announcement_has_no_entities(payload: bytes) -> None:
    """Any payload is accepted; one that is no announcement has no platforms."""
    assert platforms(payload) == {}


def test_a_deeply_nested_announcement_has_no_entities() -> None:
    """A payload that exceeds the parser's recursion limit has no platforms."""
    assert platforms(b'{"cmps":' + 100_000 * b"[") == {}
