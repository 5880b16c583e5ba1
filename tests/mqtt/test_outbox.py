"""What waits for the broker, without one."""

from monitor.messages import Phase
from monitor.mqtt.outbox import BATCH, Outbox
from monitor.mqtt.topics import Topics
from tests.mqtt.examples import LABELS, detection, health, snapshot

TOPICS = Topics("sound-monitor", "box")


def outbox() -> Outbox:
    """Of the box with the hall, just connected; live messages once a second."""
    box = Outbox(TOPICS, ["hall"], LABELS, live_interval=1.0)
    box.present()
    return box


def test_the_present_goes_before_events() -> None:
    """A state must not wait behind a long backlog."""
    box = outbox()
    for number in range(2 * BATCH):
        box.put(detection(id=str(number)))
    topics = [outgoing.topic for outgoing in box.batch(0.0)]
    assert topics == [TOPICS.state("hall", "smoke_alarm")] + BATCH * [TOPICS.event("hall")]


def test_an_event_waits_until_it_is_acknowledged() -> None:
    """Whatever else was sent meanwhile, and whoever asks again."""
    box = outbox()
    box.put(detection())
    first = box.batch(0.0)
    assert [outgoing.topic for outgoing in box.batch(0.0)] == [TOPICS.event("hall")]
    box.sent(first)
    assert box.batch(0.0) == []


def test_a_state_that_has_not_changed_is_not_said_again() -> None:
    """A second end, or a second health, brings nothing new."""
    box = outbox()
    box.put(detection(Phase.ENDED))
    box.put(health())
    assert [outgoing.retain for outgoing in box.batch(0.0)] == [True, True, False]
    box.put(health())
    assert not any(outgoing.retain for outgoing in box.batch(0.0))


def test_a_label_without_a_rule_is_an_event_but_no_state() -> None:
    """States exist for configured labels only."""
    box = outbox()
    box.put(detection(label="Cat"))
    assert [outgoing.topic for outgoing in box.batch(0.0)] == [TOPICS.event("hall")]


def test_live_messages_keep_their_distance_for_each_source() -> None:
    """One source's message does not hold another's up."""
    box = outbox()
    assert box.rest(0.0) is None
    box.put(snapshot())
    assert len(box.batch(10.0)) == 1
    box.put(snapshot())
    box.put(snapshot(source="kitchen"))
    assert [outgoing.topic for outgoing in box.batch(10.5)] == [TOPICS.live("kitchen")]
    assert box.rest(10.75) == 0.25
    assert [outgoing.topic for outgoing in box.batch(11.0)] == [TOPICS.live("hall")]
