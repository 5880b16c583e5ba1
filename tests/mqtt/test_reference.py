"""The reference page agrees with the code, and its examples work."""

import re
from itertools import chain
from typing import Any

import msgspec
import pytest
import yaml

from monitor.classify.model import NativeModel
from monitor.classify.open import find_model
from monitor.config.load import parse_config
from monitor.detect.rules import resolve
from monitor.messages import Phase, Recorded
from monitor.mqtt.announcement import components
from monitor.mqtt.outbox import Outbox
from monitor.mqtt.topics import Topics, parse_topic
from tests.mqtt.examples import LABELS, detection, health, snapshot
from tests.mqtt.reference import EXAMPLE, PAGE, TOPICS, entries, render

BLOCKS: list[dict[str, Any]] = [
    yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
]
AUTOMATIONS = [block for block in BLOCKS if "alias" in block]
RULES = [block for block in BLOCKS if "detection" in block]


def test_the_page_is_up_to_date() -> None:
    """Regenerating the page (python -m tests.mqtt.reference) changes nothing."""
    assert render(PAGE.read_text()) == PAGE.read_text()


def test_every_topic_is_published_as_the_page_says() -> None:
    """Topics, payloads, retain flags and QoS are those of the page, and no others."""
    topics = Topics("sound-monitor", "box")
    outbox = Outbox(topics, ["hall"], LABELS, live_interval=1.0, level=True)
    for message in (health(), snapshot(), detection()):
        outbox.put(message, 0.0)
    published = {TOPICS.availability}  # by the publisher itself
    expected = {entry.topic: entry for entry in entries()}
    for outgoing in (*outbox.batch(0.0), *outbox.present(0.0), outbox.log(Recorded(1, detection()), 0.0)):
        topic = re.sub("/(smoke_alarm|dog)/", "/<sound>/", outgoing.topic)
        entry = expected[topic.replace("/box/", "/<node>/").replace("/hall/", "/<source>/")]
        assert outgoing.retain == entry.retained
        assert outgoing.qos == (0 if "QoS 0" in entry.note else 1)
        if isinstance(entry.payload, str):
            assert (
                outgoing.payload.decode() in re.findall("`(.*?)`", entry.payload) or entry.payload == "a number, dBFS"
            )
        else:
            fields = msgspec.json.decode(outgoing.payload).keys()
            assert fields == set(entry.payload.__struct_fields__)
        published.add(entry.topic)
    assert published == set(expected)


@pytest.mark.parametrize("automation", AUTOMATIONS, ids=lambda block: block["alias"])
def test_an_automation_is_valid(automation: dict[str, Any]) -> None:
    """An automation has the keys that Home Assistant knows, and no others."""
    assert set(automation) <= {"alias", "triggers", "conditions", "actions"}
    assert all("trigger" in trigger for trigger in automation["triggers"])
    assert all("condition" in condition for condition in automation.get("conditions", []))
    assert all(re.fullmatch(r"[a-z]+\.[a-z_]+", action["action"]) for action in automation["actions"])


def strings(value: object) -> list[str]:
    """Every string in a document."""
    if isinstance(value, dict):
        return list(chain.from_iterable(map(strings, value.values())))
    if isinstance(value, list):
        return list(chain.from_iterable(map(strings, value)))
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("automation", AUTOMATIONS, ids=lambda block: block["alias"])
def test_an_automation_uses_existing_entities_and_topics(automation: dict[str, Any]) -> None:
    """An automation names at least one entity or topic of the example, and none that does not exist."""
    made = components(EXAMPLE).values()
    domains = "|".join({str(entity["p"]) for entity in made})
    named = [entity for text in strings(automation) for entity in re.findall(rf"\b(?:{domains})\.\w+", text)]
    assert set(named) <= {entity["default_entity_id"] for entity in made}
    topics = [text for text in strings(automation) if text.startswith("sound-monitor/")]
    for topic in topics:
        address = parse_topic("sound-monitor", topic)
        assert address is not None
        assert (address.node, address.source) == (EXAMPLE.topics.node, EXAMPLE.sources[0])
    for trigger in automation["triggers"]:
        if trigger["trigger"] == "mqtt":
            label, _, phase = trigger["payload"].rpartition(" ")
            assert (label in EXAMPLE.sounds, phase in list(Phase)) == (True, True)
    assert named or topics


@pytest.mark.parametrize("block", RULES, ids=lambda block: block["detection"]["rules"][0]["label"])
def test_a_rule_fits_the_bundled_model(block: dict[str, Any]) -> None:
    """The classes of a rule exist, a sound can satisfy it, and the example has it."""
    config = parse_config(yaml.safe_dump(block))
    card = NativeModel(find_model(config.model.name)).card
    [rule] = resolve(config.detection, card.labels, card.window / card.sample_rate, config.model.hop)
    assert rule.label in EXAMPLE.sounds
