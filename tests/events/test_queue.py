"""The queue of detections before the file: bounded, in order, and safe beside a write."""

import asyncio

import pytest

from monitor.events import queue
from monitor.events.queue import Unwritten, Waiting
from monitor.messages import Recorded
from tests.events.test_log import detection


def waiting(number: int) -> Waiting:
    """A waiting detection; for a running event loop."""
    return Waiting(Recorded(None, detection(number), 0.0), asyncio.get_running_loop().create_future())


async def test_a_full_queue_drops_the_oldest_that_is_not_being_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a writer has taken stays until the end of its write; each dropped one is counted and cancelled."""
    monkeypatch.setattr(queue, "UNWRITTEN", 3)
    unwritten = Unwritten()
    entries = [waiting(number) for number in range(6)]
    for entry in entries[:3]:
        unwritten.add(entry)
    assert unwritten.begin(2) == (entries[:2], 0)
    unwritten.add(entries[3])
    assert [entry.written.cancelled() for entry in entries] == [False, False, True, False, False, False]
    unwritten.end(written=True)
    unwritten.add(entries[4])
    assert unwritten.begin(9) == (entries[3:5], 0)
    unwritten.end(written=False)
    assert unwritten.begin(9) == (entries[3:5], 0)
    assert (len(unwritten), unwritten.lost) == (2, 1)


async def test_what_the_broker_has_is_counted_from_the_oldest() -> None:
    """Only the next one counts; a write takes its share of the count along."""
    unwritten = Unwritten()
    entries = [waiting(number) for number in range(4)]
    for entry in entries:
        unwritten.add(entry)
    recorded = [entry.recorded for entry in entries]
    unwritten.publish(recorded[1])
    assert unwritten.unpublished(2) == recorded[:2]
    for one in recorded[:3]:
        unwritten.publish(one)
    assert unwritten.unpublished(9) == recorded[3:]
    assert unwritten.begin(2) == (entries[:2], 3)
    unwritten.end(written=True)
    assert unwritten.begin(9) == (entries[2:], 1)
    assert unwritten.oldest is recorded[2]
