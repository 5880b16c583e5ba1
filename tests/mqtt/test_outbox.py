"""The outbox: what it sends and when, without a broker."""

import msgspec
import pytest

from monitor.messages import (
    Detection,
    DetectionAttributes,
    DetectionEvent,
    LoggedDetection,
    Phase,
    ProblemAttributes,
    Recorded,
    SourceState,
)
from monitor.mqtt.outbox import BATCH, Outbox
from monitor.mqtt.topics import ANY_SOUND, OFF, ON, PROBLEM, Topics
from tests.mqtt.examples import LABELS, detection, health, snapshot

TOPICS = Topics("sound-monitor", "box")


def outbox(level: bool = False) -> Outbox:
    """The outbox of a box with one source, just connected; live messages once a second."""
    box = Outbox(TOPICS, ["hall"], LABELS, live_interval=1.0, level=level)
    box.present(0.0)
    return box


def topics(box: Outbox, now: float = 0.0) -> list[str]:
    """The topics of the next batch."""
    return [outgoing.topic for outgoing in box.batch(now)]


def payloads(box: Outbox, now: float = 0.0) -> dict[str, bytes]:
    """The next batch, by topic."""
    return {outgoing.topic: outgoing.payload for outgoing in box.batch(now)}


STATE, ATTRIBUTES = TOPICS.state("hall", "smoke_alarm"), TOPICS.attributes("hall", "smoke_alarm")
ANY_STATE, ANY_ATTRIBUTES = TOPICS.state("hall", ANY_SOUND), TOPICS.attributes("hall", ANY_SOUND)


def test_the_present_goes_before_events() -> None:
    """States do not wait behind a burst of events, and follow their attributes."""
    box = outbox()
    for number in range(2 * BATCH):
        box.put(detection(id=str(number)), 0.0)
    assert topics(box) == [ATTRIBUTES, STATE, ANY_ATTRIBUTES, ANY_STATE] + BATCH * [TOPICS.event("hall")]
    assert topics(box) == BATCH * [TOPICS.event("hall")]
    assert topics(box) == []


def test_a_late_event_is_dropped() -> None:
    """An event is dropped after `FRESH` seconds, and by a new connection."""
    box = outbox()
    box.put(detection(), 100.0)
    box.put(detection(id="2"), 104.0)
    box.batch(104.0)
    box.put(detection(id="3"), 106.0)
    box.put(detection(id="4"), 108.0)
    assert [msgspec.json.decode(each.payload)["id"] for each in box.batch(112.0) if not each.retain] == ["4"]
    box.put(detection(id="5"), 112.0)
    box.present(112.0)
    assert topics(box, 112.0) == []


def test_the_log_marks_late_detections() -> None:
    """Late means seconds old, recorded before the connection, or recorded by another run."""
    box = outbox()
    box.present(100.0)
    assert not box.replayed(Recorded(1, detection(), 100.0), 105.0)
    assert box.replayed(Recorded(1, detection(), 100.0), 105.1)
    assert box.replayed(Recorded(1, detection(), 99.9), 100.0)
    assert box.replayed(Recorded(1, detection()), 100.0)
    for at in (100.0, None):
        logged = box.log(Recorded(1, detection(), at), 100.0)
        assert logged.topic == TOPICS.log
        assert not logged.retain
        decoded = msgspec.json.decode(logged.payload, type=LoggedDetection)
        assert (decoded.replayed, decoded.id, decoded.started_at) == (at is None, "1", detection().started_at)


def test_attributes_describe_the_last_detection() -> None:
    """The attributes follow the start and the end of a detection, with its own times."""
    box = outbox()
    for phase in Phase:
        box.put(detection(phase), 0.0)
        attributes, *_ = box.batch(0.0)
        assert attributes.topic == ATTRIBUTES
        assert attributes.retain
        assert msgspec.json.decode(attributes.payload, type=DetectionAttributes) == DetectionAttributes(
            id="1",
            label="Smoke alarm",
            started_at=detection(phase).started_at,
            ended_at=detection(phase).ended_at,
            score=0.75,
            peak=0.875,
        )


def test_attributes_outlast_a_restart() -> None:
    """Each configured sound of each configured source gets the attributes of its last detection."""
    box = outbox()
    gone = [detection(label="Cat"), msgspec.structs.replace(detection(), source="attic")]
    box.recall([detection(id="0"), *gone, detection(id="1"), detection(Phase.ENDED, id="1")])
    present = {each.topic: each.payload for each in box.present(0.0)}
    assert present[STATE] == OFF
    assert msgspec.json.decode(present[ATTRIBUTES])["ended_at"] == "2025-05-04T03:02:09Z"
    assert not [topic for topic in present if "attic" in topic or "cat" in topic or "dog/attributes" in topic]


def test_an_unchanged_state_is_not_sent_again() -> None:
    """An equal health message sends nothing."""
    box = outbox()
    box.put(detection(Phase.ENDED), 0.0)
    box.put(health(), 0.0)
    assert TOPICS.health in topics(box)
    box.put(health(), 0.0)
    assert box.batch(0.0) == []


def test_any_sound_is_on_as_long_as_one_of_them_is() -> None:
    """Any sound is on while one sound is; its attributes show the last change."""
    box = outbox()
    detections = [detection(), detection(id="2", label="Dog"), detection(Phase.ENDED)]
    for each, label in zip(detections, ("Smoke alarm", "Dog", "Smoke alarm"), strict=True):
        box.put(each, 0.0)
        batch = payloads(box)
        assert batch.get(ANY_STATE, ON) == ON
        assert msgspec.json.decode(batch[ANY_ATTRIBUTES])["label"] == label
    box.put(detection(Phase.ENDED, id="2", label="Dog"), 0.0)
    assert payloads(box)[ANY_STATE] == OFF


def test_any_sound_means_the_configured_ones() -> None:
    """A sound without a rule does not turn any sound on."""
    box = outbox()
    box.put(detection(label="Cat"), 0.0)
    assert ANY_STATE not in topics(box)


@pytest.mark.parametrize("state", SourceState)
def test_a_source_that_cannot_hear_has_a_problem(state: SourceState) -> None:
    """Only a deaf, lost or stalled source has a problem, not one that is opening, paused or ended."""
    box = outbox()
    box.put(health(SourceState.LOST), 0.0)
    box.batch(0.0)
    box.put(health(state), 0.0)
    present = {outgoing.topic: outgoing.payload for outgoing in box.present(0.0)}
    problem = present[TOPICS.state("hall", PROBLEM)]
    assert problem == (ON if state in (SourceState.STALLED, SourceState.DEAF, SourceState.LOST) else OFF)
    attributes = msgspec.json.decode(present[TOPICS.attributes("hall", PROBLEM)], type=ProblemAttributes)
    assert attributes == ProblemAttributes(state=state, device="Virtual microphone", reason="")


def test_a_level_is_sent_only_if_configured() -> None:
    """Without `mqtt.level` a snapshot sends only a live message."""
    box = outbox()
    box.put(snapshot(), 0.0)
    assert topics(box) == [TOPICS.live("hall")]


def test_a_level_is_sent_when_it_changes_but_not_often() -> None:
    """At most one level per interval is sent, the newest, rounded to decibels."""
    box, level = outbox(level=True), TOPICS.level("hall")
    for now, measured, expected in (
        (0.0, -40.0, b"-40"),
        (1.0, -30.0, None),
        (4.9, -20.0, None),
        (5.0, -10.2, b"-10"),
        (11.0, -9.8, None),
        (11.5, -8.9, b"-9"),
    ):
        box.put(snapshot(measured), now)
        assert payloads(box, now).get(level) == expected


def test_everything_retained_can_be_sent_again() -> None:
    """Sending again sends the same as a new connection."""
    box = outbox()
    box.put(detection(), 0.0)
    box.put(health(), 0.0)
    box.batch(0.0)
    box.again()
    again = payloads(box)
    assert again == {outgoing.topic: outgoing.payload for outgoing in box.present(0.0)}
    assert again[STATE] == ON


def test_an_event_names_its_type_for_home_assistant() -> None:
    """An event carries its type beside all fields of the detection."""
    box = outbox()
    box.put(detection(), 0.0)
    event = payloads(box)[TOPICS.event("hall")]
    assert msgspec.json.decode(event, type=DetectionEvent).event_type == "Smoke alarm"
    assert msgspec.json.decode(event, type=Detection) == detection()


def test_a_label_without_a_rule_is_an_event_but_no_state() -> None:
    """A label without a rule has an event, but no state topic."""
    box = outbox()
    box.put(detection(label="Cat"), 0.0)
    assert topics(box) == [TOPICS.event("hall")]


def test_live_messages_keep_their_distance_for_each_source() -> None:
    """The live interval applies to each source alone."""
    box = outbox()
    assert box.rest(0.0) is None
    box.put(snapshot(), 10.0)
    assert len(box.batch(10.0)) == 1
    box.put(snapshot(), 10.5)
    box.put(snapshot(source="kitchen"), 10.5)
    assert topics(box, 10.5) == [TOPICS.live("kitchen")]
    assert box.rest(10.75) == 0.25
    assert topics(box, 11.0) == [TOPICS.live("hall")]
