"""Targets are the teacher's opinion, but where more is known of the sound than the teacher hears."""

import importlib
from typing import Any

import numpy as np
import pytest

from monitor.zoo.families.audioset import labels

pytest.importorskip("torch", reason="the training recipe needs torch; the bundled model does not")
pytest.importorskip("scipy", reason="the training recipe needs scipy")
targets = importlib.import_module("models.train.learning.targets")
events = importlib.import_module("models.train.data.events")
GENERATORS = importlib.import_module("models.train.sounds.generators").GENERATORS

NAMES = list(labels())
CLIPS = [events.EVENT_NAMES.index("Dog barking"), -1]
"""A dog, and a recording that nobody knows."""


def logits(score: float, rows: int = 1) -> Any:
    """What a teacher answers that gives every class the same score, [rows, 521]."""
    return np.full((rows, len(NAMES)), np.log(score / (1 - score)), np.float16)


def judged(score: float, clip: int = -1, kind: int = -1, heard: bool = True) -> tuple[Any, Any]:
    """Targets by name of one window for which both teachers give every class `score`."""
    judge, given = targets.Judge(NAMES, CLIPS), logits(score)
    facts = np.array([clip], np.int32), np.array([kind], np.int16), np.array([heard])
    classes, found = judge(given, given, *facts)
    return dict(zip(NAMES, classes[0], strict=True)), dict(zip(events.EVENT_NAMES, found[0], strict=True))


def kind_of(event: str) -> int:
    """The first generator of an event, or of none."""
    return next(number for number, kind in enumerate(GENERATORS) if kind.event == event)


def test_the_teachers_meet_half_way_between_their_logits() -> None:
    judge, none = targets.Judge(NAMES, CLIPS), np.array([-1])
    classes, _ = judge(logits(0.9), logits(0.1), none, none, np.array([True]))
    assert classes[0] == pytest.approx(0.5, abs=1e-3)


def test_a_label_is_its_own_event_and_says_nothing_of_the_classes() -> None:
    classes, found = judged(0.3, clip=0)
    assert set(classes.values()) == {classes["Dog"]}
    assert classes["Dog"] == pytest.approx(0.3, abs=1e-3)
    assert found.pop("Dog barking") == 1.0
    assert list(found.values()) == pytest.approx([0.3] * len(found), abs=1e-3)


@pytest.mark.parametrize(("clip", "heard"), [(0, False), (1, True), (1, False)])
def test_where_nothing_is_known_or_heard_the_teachers_are_right(clip: int, heard: bool) -> None:
    classes, found = judged(0.5, clip, heard=heard)
    assert set(classes.values()) == {0.5}
    assert set(found.values()) == {0.5}


def test_an_event_is_as_likely_as_the_best_of_its_evidence() -> None:
    judge = targets.Judge(NAMES, CLIPS)
    given = np.zeros((1, len(NAMES)), np.float32)
    given[0, NAMES.index("Meow")], given[0, NAMES.index("Purr")] = 0.25, 0.75
    found = dict(zip(events.EVENT_NAMES, judge.of_events(given)[0], strict=True))
    assert found["Cat meowing"] == 0.75
    assert found["Dog barking"] == 0.0


def test_a_generated_alarm_is_one_whatever_the_teachers_say() -> None:
    classes, found = judged(0.5, kind=kind_of("Smoke alarm"))
    assert classes["Smoke detector, smoke alarm"] == pytest.approx(0.95)
    assert found["Smoke alarm"] == 1.0
    assert found["Emergency siren"] == found["Doorbell ringing"] == pytest.approx(0.05)
    assert found["Dog barking"] == 0.5


def test_a_generated_alarm_that_is_not_heard_is_none() -> None:
    classes, found = judged(0.5, kind=kind_of("Smoke alarm"), heard=False)
    assert classes["Smoke detector, smoke alarm"] == 0.5
    assert found["Smoke alarm"] == pytest.approx(0.05)


def test_a_melody_is_no_doorbell() -> None:
    """What only sounds like an alarm, a siren or a chime is none, however sure the teachers are."""
    classes, found = judged(0.9, kind=kind_of(""))
    for name in ("Smoke detector, smoke alarm", "Siren", "Doorbell", "Knock"):
        assert classes[name] == pytest.approx(0.05)
    assert found["Smoke alarm"] == found["Doorbell ringing"] == pytest.approx(0.05)
    assert classes["Beep, bleep"] == found["Beeping"] == pytest.approx(0.9, abs=1e-3)


def test_each_row_is_judged_by_its_own() -> None:
    judge, given = targets.Judge(NAMES, CLIPS), logits(0.5, rows=3)
    _, found = judge(given, given, np.array([1, 0, -1]), np.array([-1, -1, 0]), np.array([True, True, True]))
    assert found[:, events.EVENT_NAMES.index("Dog barking")] == pytest.approx([0.5, 1.0, 0.5])
    assert (given == 0.0).all()  # the teachers' own answers stay as they are


def test_a_faint_window_of_a_dog_is_no_proof_that_there_is_none() -> None:
    absent = importlib.import_module("models.train.learning.calibrate").ABSENT
    judge, clip, none = targets.Judge(NAMES, CLIPS), np.array([0, 1], np.int32), np.array([-1, -1])
    given = logits(0.01, rows=2)
    classes, found = judge.doubted(judge(given, given, clip, none, np.array([False, False])), clip)
    dog, bark = events.EVENT_NAMES.index("Dog barking"), NAMES.index("Bark")
    assert found[0, dog] >= absent
    assert classes[0, bark] >= absent
    assert (np.delete(found[0], dog) < absent).all()
    assert max(found[1].max(), classes[1].max()) < absent
