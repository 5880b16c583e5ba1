"""The topic tree and the names in it."""

import re

from aiomqtt import Topic
from hypothesis import example, given
from hypothesis import strategies as st

from monitor.mqtt.topics import ANY, ANY_SOUND, PROBLEM, Address, Topics, parse_topic, slug, slugs

names = st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True)
prefixes = st.lists(st.text("abc-_ é", min_size=1, max_size=5), min_size=1, max_size=3).map("/".join)


@given(prefixes, names, names, st.text().map(slug))
def test_a_topic_parses_back_to_its_parts(prefix: str, node: str, source: str, sound: str) -> None:
    """Parsing returns node, source, sound and leaf, whatever their names."""
    topics = Topics(prefix, node)
    assert parse_topic(prefix, topics.availability) == Address(node, "availability")
    assert parse_topic(prefix, topics.health) == Address(node, "health")
    assert parse_topic(prefix, topics.log) == Address(node, "log")
    assert parse_topic(prefix, topics.source_availability(source)) == Address(node, "availability", source)
    assert parse_topic(prefix, topics.event(source)) == Address(node, "event", source)
    assert parse_topic(prefix, topics.live(source)) == Address(node, "live", source)
    assert parse_topic(prefix, topics.level(source)) == Address(node, "level", source)
    assert parse_topic(prefix, topics.state(source, sound)) == Address(node, "state", source, sound)
    assert parse_topic(prefix, topics.attributes(source, sound)) == Address(node, "attributes", source, sound)


@given(prefixes, names, names)
def test_a_wildcard_matches_its_topics_and_no_others(prefix: str, node: str, source: str) -> None:
    """A wildcard for the nodes' availability does not match the sources' availability."""
    topics, every = Topics(prefix, node), Topics(prefix, ANY)
    assert Topic(topics.availability).matches(every.availability)
    assert not Topic(topics.source_availability(source)).matches(every.availability)
    assert Topic(topics.event(source)).matches(topics.event(ANY))
    assert not Topic(topics.live(source)).matches(topics.event(ANY))


def test_foreign_topics_do_not_parse() -> None:
    """A topic with another prefix, depth or leaf has no meaning."""
    for topic in (
        "a",
        "a/",
        "a/box",
        "b/box/health",
        "ab/box/health",
        "a/box/x/y",
        "a/box/hall/dog/event",
        "a/a/a/a/a",
    ):
        assert parse_topic("a", topic) is None, topic


@given(st.text())
@example("\ud800")
def test_a_slug_is_never_empty_and_carries_only_safe_characters(label: str) -> None:
    """The slug of any label is valid and always the same."""
    assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", slug(label))
    assert slug(label) == slug(label)


def test_a_slug_is_readable() -> None:
    """A slug is the label in lower case ASCII, with underscores."""
    assert slug("Smoke alarm") == "smoke_alarm"
    assert slug("Baby cry, infant cry") == "baby_cry_infant_cry"
    assert slug("  Türklingel (2) ") == "turklingel_2"


@given(st.lists(st.text("aA _-é警", max_size=4), unique=True))
@example(["Dog", "dog", "dog_" + slugs(["Dog", "dog"])["dog"][-8:]])
def test_different_labels_get_different_slugs_in_any_order(labels: list[str]) -> None:
    """Labels that differ only in characters that a slug lacks get different slugs."""
    names = slugs(labels)
    assert len(set(names.values())) == len(labels)
    assert slugs(reversed(labels)) == names
    assert all(re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", name) for name in names.values())


def test_no_label_gets_a_reserved_slug() -> None:
    """Sounds called `any` and `problem` get topics of their own."""
    assert not {ANY_SOUND, PROBLEM} & set(slugs(["Any", "any!", "Problem"]).values())


def test_labels_that_do_not_collide_keep_their_plain_slugs() -> None:
    """Only labels whose slugs collide get a digest."""
    names = slugs(["Dog", "dog!", "Cat"])
    assert names["Cat"] == "cat"
    assert "dog" not in names.values()
