"""The state of the display, reduced from messages."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.messages import Detection, Health, Link, LinkState, Message, Phase, Snapshot, SourceState
from monitor.tui.state import MAX_EVENTS, MAX_LEVELS, ViewState
from monitor.tui.truth import troubles
from tests.tui.feeds import NOON, after, ended, health, reduced, snapshot, source, started

ATTACHED, LOST = Link(LinkState.ATTACHED, NOON), Link(LinkState.DISCONNECTED, after(30), "refused")


def ids(events: Sequence[Detection]) -> list[str]:
    """The ids of these events."""
    return [event.id for event in events]


def test_a_sound_is_active_until_it_ends() -> None:
    """A start is active and listed; its end is not active, and replaces it in the list."""
    state = reduced(started("a"))
    assert ids(state.active) == ids(state.events) == ["a"]
    state.apply(ended("a", lasted=3.0))
    assert state.active == []
    assert [event.ended_at for event in state.events] == [after(3.0)]


def test_newest_sound_first() -> None:
    """Events are in the order of the sounds, also if an old one arrives late."""
    state = reduced(started("b", "Dog", at=20), started("c", "Cat", at=30), ended("a", "Knock", at=10))
    assert ids(state.events) == ["c", "b", "a"]
    assert ids(state.active) == ["c", "b"]


def test_a_repeated_or_late_start_does_not_revive_a_sound() -> None:
    """A start after its end, or repeated, is ignored."""
    state = reduced(ended("a"), started("a"), started("a"))
    assert state.active == []
    assert [event.phase for event in state.events] == [Phase.ENDED]


def test_the_next_start_replaces_a_lost_end() -> None:
    """A new start ends an active sound of the same source and label, as its end was lost."""
    state = reduced(started("a", at=0), started("b", at=60), ended("b", at=60))
    assert state.active == []
    assert ids(state.events) == ["b", "a"]


def test_a_newer_end_also_ends_a_sound_whose_end_was_lost() -> None:
    """The end of a newer sound of the same source and label ends an older one; that of an older one does not."""
    assert reduced(started("a", at=0), ended("b", at=60)).active == []
    assert ids(reduced(started("b", at=60), ended("a", at=0)).active) == ["b"]


def test_an_old_start_does_not_replace_a_newer_one() -> None:
    """A start that is replayed after an outage does not hide the current sound."""
    state = reduced(started("b", at=60), started("a", at=0), ended("a", at=0))
    assert ids(state.active) == ["b"]


def test_a_restarted_monitor_has_no_active_sounds() -> None:
    """A smaller uptime clears active sounds, whose ends will never arrive."""
    state = reduced(health(source(), uptime=100), started("a"))
    state.apply(health(source(), uptime=105))
    assert ids(state.active) == ["a"]
    state.apply(health(source(), uptime=1))
    assert state.active == []


def test_a_sound_that_was_on_is_on_until_the_monitor_is_back() -> None:
    """The link's loss ends no sound; with the first status after it, those end that are not on any more."""
    state = reduced(ATTACHED, health(source()), started("a"), started("b", "Cat"), LOST)
    assert ids(state.active) == ["a", "b"]
    state.apply(health(source()))
    assert ids(state.active) == ["a", "b"]
    for message in (ATTACHED, started("b", "Cat"), health(source())):
        state.apply(message)
    assert ids(state.active) == ["b"]


def test_a_repeated_start_revives_a_sound_that_was_thought_over() -> None:
    """A start that the feed repeats because the sound is still on is active again, unless a newer one followed it."""
    state = reduced(ATTACHED, health(source()), started("a"), LOST, ATTACHED, health(source()))
    assert state.active == []
    state.apply(started("a"))
    assert ids(state.active) == ["a"]
    state = reduced(started("a", at=0), started("b", at=60), ended("b", at=60), started("a", at=0))
    assert state.active == []


def test_the_time_of_a_state_is_known_only_if_its_start_was_seen() -> None:
    """A source has no time for its first state, then that of the status with the next."""
    state = reduced(health(source(state=SourceState.LOST), uptime=10))
    assert state.sources["kitchen"].since is None
    for uptime in (12, 14):
        state.apply(health(source(), uptime=uptime))
    assert state.sources["kitchen"].since == after(12)


def test_sources_follow_the_configuration() -> None:
    """Health has the sources and their order; others disappear."""
    state = reduced(snapshot("old"), snapshot("b"), health(source("a"), source("b")))
    assert list(state.sources) == ["a", "b"]
    assert state.sources["b"].snapshot is not None
    assert state.sources["a"].notice == "Waiting for the first window"


def test_peak_is_held_for_two_seconds() -> None:
    """The peak is held for two seconds, then falls to newer levels."""
    loud, soon, later = snapshot(level=-10, at=0), snapshot(level=-50, at=1.5), snapshot(level=-60, at=3)
    state = reduced(loud, soon)
    assert state.sources["kitchen"].peak == -10
    state.apply(later)
    assert state.sources["kitchen"].peak == -50


@pytest.mark.parametrize("gone", [SourceState.LOST, SourceState.PAUSED])
def test_a_lost_or_paused_source_has_no_active_sounds(gone: SourceState) -> None:
    """Active sounds of the source are cleared; those of other sources stay."""
    state = reduced(started("a"), started("b", source="garage"))
    state.apply(health(source(state=gone), source("garage")))
    assert ids(state.active) == ["b"]


@pytest.mark.parametrize("gone", [SourceState.LOST, SourceState.PAUSED])
def test_a_gap_clears_the_history(gone: SourceState) -> None:
    """Levels and scores from before a loss or pause are cleared."""
    state = reduced(snapshot(), health(source(state=gone)), health(source()))
    assert state.sources["kitchen"].snapshot is None
    assert not state.sources["kitchen"].levels


def test_a_finished_recording_has_a_notice() -> None:
    """The end of a file has a notice, and is no trouble."""
    state = reduced(snapshot(), health(source(state=SourceState.ENDED)))
    assert state.sources["kitchen"].notice == "This source has ended"
    assert list(troubles(state, 0, NOON)) == []


def test_a_paused_source_has_a_notice() -> None:
    """A pause has a notice, and is no trouble."""
    state = reduced(snapshot(), health(source(state=SourceState.PAUSED)))
    assert state.sources["kitchen"].notice == "Paused: not listening"
    assert list(troubles(state, 0, NOON)) == []


def test_bounded() -> None:
    """Only the newest events and levels are kept."""
    state = ViewState()
    for count in range(MAX_LEVELS + 100):
        state.apply(ended(f"{count}", at=count))
        state.apply(snapshot(at=count))
    assert len(state.events) == MAX_EVENTS
    assert state.events[0].id == f"{MAX_LEVELS + 99}"
    assert len(state.sources["kitchen"].levels) == MAX_LEVELS


names = st.sampled_from(["kitchen", "garage", "attic"])
times = st.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 2), timezones=st.just(UTC))  # noqa: DTZ001
detections = st.builds(
    Detection,
    id=st.integers(0, 30).map(str),
    node=st.just("pi"),
    source=names,
    model=st.just("m"),
    label=st.sampled_from(["Dog", "Cat"]),
    phase=st.sampled_from(Phase),
    started_at=times,
    ended_at=st.none() | times,
    score=st.floats(0, 1),
    peak=st.floats(0, 1),
)
snapshots = st.builds(Snapshot, at=times, source=names, model=st.just("m"), level=st.floats(), labels=st.just(()))
healths = st.builds(
    lambda found, uptime: health(*(source(name, state) for name, state in found.items()), uptime=uptime),
    st.dictionaries(names, st.sampled_from(SourceState)),
    st.floats(0, 1e6),
)


@given(st.lists(detections | snapshots | healths, max_size=60))
def test_any_sequence_of_messages_is_accepted(messages: list[Message]) -> None:
    """Any order, repetition and value gives a consistent state."""
    state = reduced(*messages)
    times = [event.started_at for event in state.events]
    assert times == sorted(times, reverse=True)
    assert len(set(ids(state.events))) == len(state.events)
    over = {message.id for message in messages if isinstance(message, Detection) and message.phase is Phase.ENDED}
    assert not over & set(ids(state.active))
    assert len({(sound.source, sound.label) for sound in state.active}) == len(state.active)
    for view in state.sources.values():
        assert isinstance(view.peak, float)
        assert view.notice is not None
    assert all(trouble.text for trouble in troubles(state, 0, NOON))
    if health_messages := [message for message in messages if isinstance(message, Health)]:
        assert state.health == health_messages[-1]


@given(st.permutations(range(12)), st.sets(st.integers(0, 11)))
def test_active_sounds_have_started_and_not_ended(order: list[int], over: set[int]) -> None:
    """Active sounds are right for any order of starts and ends of different sounds."""
    state = ViewState()
    for key in order:
        state.apply(started(f"{key}", label=f"{key}", at=key))
        if key in over:
            state.apply(ended(f"{key}", label=f"{key}", at=key))
    assert set(ids(state.active)) == {f"{key}" for key in set(order) - over}
    assert [sound.started_at for sound in state.active] == sorted(
        (after(key) for key in set(order) - over), reverse=True
    )
