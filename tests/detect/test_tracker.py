"""The tracker: starts and ends of sounds from scores."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.detect.cadence import CADENCES
from monitor.detect.tracker import Tracker
from monitor.messages import Phase, Rule, Scores, Transition, Window

RATE, WINDOW, HOP = 1000, 1000, 250
SILENCE = np.zeros(WINDOW, np.float32)
WEAK = Rule(
    "Siren", (0,), on=0.5, off=0.25, strong=0.9, smoothing=0.0, votes=2, min_duration=0.0, hold=1.0, cooldown=2.0
)
SHARP = Rule(
    "Glass", (1,), on=0.5, off=0.25, strong=0.7, smoothing=0.0, votes=1, min_duration=0.0, hold=0.5, cooldown=1.0
)


def feed(
    tracker: Tracker, scores: Sequence[float | None], column: int = 0, at: int = 0
) -> list[tuple[int, Transition]]:
    """Feed one score per hop, or None for a dropped window; return transitions with their hop."""
    out = []
    for n, score in enumerate(scores, at):
        if score is None:
            continue
        probabilities = np.zeros(2, np.float32)
        probabilities[column] = score
        window = Window("s", 0, n * HOP, RATE, SILENCE, datetime.now(UTC))
        answer = Scores(probabilities, None)
        out += [(n, change) for change in tracker.update(window, answer)]
    return out


def test_strong_evidence_fires_at_once() -> None:
    """One window at `strong` is enough, despite votes and smoothing."""
    slow = replace(WEAK, smoothing=5.0, votes=4, min_duration=1.0)
    ((hop, change),) = feed(Tracker([slow], RATE, HOP), [0, 0, 0.95])
    assert (hop, change.phase, change.label) == (2, Phase.STARTED, "Siren")
    assert change.score == change.peak == pytest.approx(0.95)


def test_weak_evidence_requires_votes() -> None:
    """One window at 0.6 does not fire, two do, and the sound starts with the first."""
    assert feed(Tracker([WEAK], RATE, HOP), [0, 0.6, 0, 0, 0, 0, 0, 0.6, 0, 0]) == []
    ((hop, change),) = feed(Tracker([WEAK], RATE, HOP), [0, 0.6, 0.6])
    assert hop == 2
    assert change.start == 1 * HOP + WINDOW // 2


def test_weak_evidence_requires_time() -> None:
    """Votes alone are not enough if the rule has a minimum duration."""
    rule = replace(WEAK, min_duration=1.0)
    ((hop, _),) = feed(Tracker([rule], RATE, HOP), [0.6] * 8)
    assert hop == 4


def test_an_end_comes_after_the_hold_with_the_time_of_the_sound() -> None:
    """The transition comes after `hold`, with the end of the sound."""
    changes = feed(Tracker([WEAK], RATE, HOP), [0.6, 0.6, 0.6, 0, 0, 0, 0, 0])
    (_, started), (hop, ended) = changes
    assert (started.phase, ended.phase) == (Phase.STARTED, Phase.ENDED)
    assert hop == 6
    assert ended.start == started.start
    assert ended.end == 2 * HOP + WINDOW - WINDOW // 2


def test_a_score_between_off_and_on_keeps_the_sound_on() -> None:
    """Hysteresis: 0.3 neither starts nor ends a sound."""
    tracker = Tracker([WEAK], RATE, HOP)
    assert len(feed(tracker, [0.6, 0.6] + [0.3] * 40)) == 1
    assert tracker.active == {"Siren"}


def test_a_sound_that_outlasts_the_cooldown_fires() -> None:
    """Nothing fires within the cooldown; a sound that is still there afterwards fires at once."""
    rule = replace(SHARP, cooldown=4.0)
    changes = feed(Tracker([rule], RATE, HOP), [0.8] + [0.0] * 3 + [0.8] * 14, column=1)
    assert [change.phase for _, change in changes] == [Phase.STARTED, Phase.ENDED, Phase.STARTED]
    (_, _), (_, ended), (again, _) = changes
    assert ended.end is not None
    assert 0 < again * HOP + WINDOW - (ended.end + 4 * RATE) <= HOP


def test_the_highest_class_is_the_score() -> None:
    """A rule with two classes fires on either."""
    rule = replace(SHARP, classes=(0, 1))
    for column in (0, 1):
        assert len(feed(Tracker([rule], RATE, HOP), [0.8], column=column)) == 1


def test_a_start_is_at_the_onset() -> None:
    """The start is where the level rises, not where the window starts."""
    samples = np.random.default_rng(0).normal(0, 1e-3, WINDOW).astype(np.float32)
    samples[700:] += 0.3 * np.sign(np.sin(np.arange(300)))
    window = Window("s", 0, 5000, RATE, samples, datetime.now(UTC))
    answer = Scores(np.array([0.95, 0], np.float32), None)
    (change,) = Tracker([WEAK], RATE, HOP).update(window, answer)
    assert change.start == pytest.approx(5700, abs=20)


def test_the_end_of_the_epoch_ends_sounds() -> None:
    """The end of the epoch ends all sounds, and the next epoch starts from silence."""
    tracker = Tracker([WEAK, SHARP], RATE, HOP)
    feed(tracker, [0.95, 0.95])
    (change,) = tracker.finish(1200)
    assert (change.phase, change.label, change.end) == (Phase.ENDED, "Siren", 1200)
    assert tracker.active == frozenset()
    assert feed(tracker, [0.6]) == []


def test_smoothing_is_in_seconds() -> None:
    """With every other window dropped, a smoothed rule fires at most a hop later or earlier."""
    rule = replace(WEAK, smoothing=0.8, votes=1, strong=1.5)
    ((whole, _),) = feed(Tracker([rule], RATE, HOP), [1.0] * 20)
    ((half, _),) = feed(Tracker([rule], RATE, HOP), [1.0, None] * 10)
    assert abs(whole - half) <= 1


@given(
    scores=st.lists(st.none() | st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 0.95, 1.0]), max_size=80),
    rule=st.builds(
        Rule,
        label=st.just("x"),
        classes=st.just((0,)),
        on=st.just(0.5),
        off=st.sampled_from([0.0, 0.25, 0.5]),
        strong=st.sampled_from([0.5, 0.9, 2.0]),
        smoothing=st.sampled_from([0.0, 0.3, 2.0]),
        votes=st.integers(1, 4),
        min_duration=st.sampled_from([0.0, 0.5, 2.0]),
        hold=st.sampled_from([0.0, 0.5, 3.0]),
        cooldown=st.sampled_from([0.0, 1.0, 5.0]),
    ),
)
def test_starts_and_ends_alternate_in_order(scores: list[float | None], rule: Rule) -> None:
    """For any scores, every end follows its start, times are ordered, peaks are scores, low scores cause nothing, and
    the cooldown separates an end from the next start."""
    tracker = Tracker([rule], RATE, HOP)
    changes = feed(tracker, scores)
    total = len(scores) * HOP + WINDOW
    changes += [(len(scores), change) for change in tracker.finish(total)]
    assert [change.phase for _, change in changes] == [Phase.STARTED, Phase.ENDED] * (len(changes) // 2)
    assert tracker.active == frozenset()
    seen = [score for score in scores if score is not None]
    if all(score < rule.on for score in seen):
        assert not changes
    ended = None
    for (hop, start), (_, end) in zip(changes[::2], changes[1::2], strict=True):
        assert start.start == end.start
        assert end.end is not None
        assert 0 <= start.start < end.end <= total
        assert start.peak <= end.peak <= max(seen) + 1e-4
        if ended is not None:
            assert hop * HOP + WINDOW > ended + rule.cooldown * RATE
        ended = end.end


def test_removing_a_rule_ends_only_its_sound() -> None:
    """Of two sounds, the one without a rule ends with the last window, and the other stays on."""
    both = replace(SHARP, label="Both", classes=(0, 1))
    tracker = Tracker([WEAK, both], RATE, HOP)
    assert len(feed(tracker, [0.95] * 3)) == 2
    (change,) = tracker.revise([both])
    assert (change.label, change.phase, change.end) == ("Siren", Phase.ENDED, 2 * HOP + WINDOW)
    assert tracker.active == {"Both"}
    assert feed(tracker, [0.95] * 4, at=3) == []
    ((_, ended),) = feed(tracker, [0.0] * 8, at=7)
    assert (ended.label, ended.start) == ("Both", WINDOW // 2)


def test_a_new_rule_starts_from_silence() -> None:
    """A new rule has no score from before, also if there were no rules."""
    tracker = Tracker([], RATE, HOP)
    feed(tracker, [0.95] * 3)
    slow = replace(WEAK, smoothing=1.0, strong=2.0, votes=1)
    assert tracker.revise([slow, SHARP]) == []
    assert feed(tracker, [0.95, 0.95], at=3) == []
    ((_, change),) = feed(tracker, [0.95], at=5)
    assert change.label == "Siren"


def test_the_smoothed_score_survives_a_revision() -> None:
    """A sound with a partial score fires at the same time as without the revision."""
    slow = replace(WEAK, smoothing=1.0, strong=2.0, votes=1)
    ((undisturbed, _),) = feed(Tracker([slow], RATE, HOP), [0.8] * 9)
    tracker = Tracker([SHARP, slow], RATE, HOP)
    assert feed(tracker, [0.8] * 2) == []
    tracker.revise([slow])
    ((hop, _),) = feed(tracker, [0.8] * 7, at=2)
    assert hop == undisturbed


def test_a_changed_threshold_applies_from_now_on() -> None:
    """Votes at the old threshold are dropped, a sound stays on until it is below the new `off`, and the cooldown
    continues."""
    tracker = Tracker([WEAK], RATE, HOP)
    feed(tracker, [0.6])
    strict = replace(WEAK, on=0.8, off=0.7)
    assert tracker.revise([strict]) == []
    assert feed(tracker, [0.85], at=1) == []
    assert len(feed(tracker, [0.85], at=2)) == 1
    tracker.revise([WEAK])
    assert feed(tracker, [0.3] * 8, at=3) == []
    tracker.revise([strict])
    ((hop, change),) = feed(tracker, [0.3] * 4, at=11)
    assert change.phase is Phase.ENDED
    tracker.revise([WEAK])
    assert feed(tracker, [0.6] * 2, at=hop + 1) == []


def test_no_rules_no_transitions() -> None:
    """A tracker without rules returns nothing."""
    assert feed(Tracker([], RATE, HOP), [1.0]) == []


def test_an_alarm_that_its_cadence_alone_finds_starts_with_its_first_beep() -> None:
    """It is confirmed seconds later, and ends with the last group, not when the next one is overdue."""
    rate, hop, window, start, groups = 16_000, 4_000, 16_000, 1.5, 3
    cadence = CADENCES[0]
    time = np.arange(25 * rate) / rate - start
    on = (time >= 0) & (time < groups * 4) & (time % 4 < 3) & (time % 1 < 0.5)
    samples = (0.1 * on * np.sin(2 * np.pi * 3100 * time)).astype(np.float32)
    rule = replace(WEAK, label="Smoke alarm", classes=(0,), cadences=(cadence,), off=0.25)
    tracker, changes = Tracker([rule], rate, hop), []
    for at in range(0, len(samples) - window, hop):
        window_ = Window("hall", 0, at, rate, samples[at : at + window], datetime.now(UTC))
        changes += tracker.update(window_, Scores(np.zeros(1, np.float32), None))
    started, ended = changes
    assert started.start / rate == pytest.approx(start, abs=0.3)
    assert ended.end is not None
    assert ended.end / rate == pytest.approx(start + (groups - 1) * cadence.period + cadence.length, abs=0.3)
