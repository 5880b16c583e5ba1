"""What waits for the broker, without one."""

import msgspec

from monitor.messages import DetectionAttributes, LoggedDetection, Phase, Recorded
from monitor.mqtt.outbox import BATCH, Outbox
from monitor.mqtt.topics import Topics
from tests.mqtt.examples import LABELS, detection, health, snapshot

TOPICS = Topics("sound-monitor", "box")


def outbox() -> Outbox:
    """Of the box with the hall, just connected; live messages once a second."""
    box = Outbox(TOPICS, ["hall"], LABELS, live_interval=1.0)
    box.present()
    return box


def topics(box: Outbox, now: float = 0.0) -> list[str]:
    """Where the next batch goes."""
    return [outgoing.topic for outgoing in box.batch(now)]


STATE, ATTRIBUTES = TOPICS.state("hall", "smoke_alarm"), TOPICS.attributes("hall", "smoke_alarm")


def test_the_present_goes_before_events() -> None:
    """A state must not wait behind a burst, nor come before what goes with it."""
    box = outbox()
    for number in range(2 * BATCH):
        box.put(detection(id=str(number)), 0.0)
    assert topics(box) == [ATTRIBUTES, STATE] + BATCH * [TOPICS.event("hall")]
    assert topics(box) == BATCH * [TOPICS.event("hall")]
    assert topics(box) == []


def test_an_event_that_could_not_be_told_at_once_is_not_told() -> None:
    """Neither seconds later, nor to a broker that was away when it happened."""
    box = outbox()
    box.put(detection(), 100.0)
    box.put(detection(id="2"), 104.0)
    box.batch(104.0)
    box.put(detection(id="3"), 106.0)
    box.put(detection(id="4"), 108.0)
    assert [msgspec.json.decode(each.payload)["id"] for each in box.batch(112.0) if not each.retain] == ["4"]
    box.put(detection(id="5"), 112.0)
    box.present()
    assert topics(box, 112.0) == []


def test_the_log_says_what_is_told_late() -> None:
    """Not what has just happened; but what is seconds old, was before the connection, or another run recorded."""
    box = outbox()
    box.put(detection(), 100.0)
    assert not box.replayed(Recorded(1, detection()), 101.0)
    assert not msgspec.json.decode(box.log(Recorded(1, detection()), 101.0).payload)["replayed"]
    assert box.replayed(Recorded(2, detection(Phase.ENDED)), 101.0)
    assert box.replayed(Recorded(1, detection()), 105.1)
    box.put(detection(id="2"), 200.0)
    box.present()
    late = msgspec.json.decode(box.log(Recorded(3, detection(id="2")), 200.0).payload, type=LoggedDetection)
    assert late.replayed
    assert (late.id, late.started_at) == ("2", detection().started_at)


def test_attributes_tell_the_last_detection() -> None:
    """Under way, then over; with its own times."""
    box = outbox()
    for phase in Phase:
        box.put(detection(phase), 0.0)
        attributes, *_ = box.batch(0.0)
        assert attributes.topic == ATTRIBUTES
        assert attributes.retain
        assert msgspec.json.decode(attributes.payload, type=DetectionAttributes) == DetectionAttributes(
            id="1",
            started_at=detection(phase).started_at,
            ended_at=detection(phase).ended_at,
            score=0.75,
            peak=0.875,
        )


def test_a_state_that_has_not_changed_is_not_said_again() -> None:
    """A second health brings nothing new."""
    box = outbox()
    box.put(detection(Phase.ENDED), 0.0)
    box.put(health(), 0.0)
    assert [outgoing.retain for outgoing in box.batch(0.0)] == [True, True, True, False]
    box.put(health(), 0.0)
    assert box.batch(0.0) == []


def test_a_label_without_a_rule_is_an_event_but_no_state() -> None:
    """States exist for configured labels only."""
    box = outbox()
    box.put(detection(label="Cat"), 0.0)
    assert topics(box) == [TOPICS.event("hall")]


def test_live_messages_keep_their_distance_for_each_source() -> None:
    """One source's message does not hold another's up."""
    box = outbox()
    assert box.rest(0.0) is None
    box.put(snapshot(), 10.0)
    assert len(box.batch(10.0)) == 1
    box.put(snapshot(), 10.5)
    box.put(snapshot(source="kitchen"), 10.5)
    assert topics(box, 10.5) == [TOPICS.live("kitchen")]
    assert box.rest(10.75) == 0.25
    assert topics(box, 11.0) == [TOPICS.live("hall")]
