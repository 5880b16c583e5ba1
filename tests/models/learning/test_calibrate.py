"""After calibration 0.5 means the same rate of false alarms for every class."""

import importlib
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the training recipe needs torch; the bundled model does not")
calibrate = importlib.import_module("models.train.learning.calibrate")


def pool(classes: int, level: float = -9.0) -> tuple[Any, Any]:
    """A pool of ten thousand windows in which nothing is heard, and nothing answered above `level`."""
    return np.full((10_000, classes), level, np.float32), np.zeros((10_000, classes), np.float32)


def streams(*columns: list[float]) -> list[Any]:
    """One stream of background: the logits of each class, window by window."""
    return [np.array(columns, np.float32).T]


def test_a_threshold_lies_just_above_what_background_reaches() -> None:
    quiet = streams([-1.0, 0.5, -3.0], [0.9, -1.0, -1.0])
    found = calibrate.calibrate(quiet, [np.zeros((3, 2))], 1.0, pool(2))
    assert found.thresholds == pytest.approx([0.5, 0.9])
    assert not (found.apply(quiet[0]) >= 0).any()


def test_a_window_in_which_the_teachers_hear_the_class_is_no_false_alarm() -> None:
    wanted = np.array([[0.0], [0.9], [0.0]], np.float32)
    found = calibrate.calibrate(streams([-1.0, 1.5, -1.5]), [wanted], 1.0, pool(1))
    assert found.thresholds == pytest.approx([-1.0])


def test_a_threshold_stays_within_bounds() -> None:
    found = calibrate.calibrate(streams([9.0], [-9.0]), [np.zeros((1, 2))], 1.0, pool(2))
    assert found.thresholds.tolist() == [calibrate.HIGHEST, calibrate.LOWEST]


def test_more_hours_allow_more_false_alarms() -> None:
    """At 0.05 an hour one in twenty hours: the higher of two that are a minute apart."""
    logits = np.full((240, 1), -1.5, np.float32)
    logits[0], logits[-1] = 1.0, 0.5
    target = np.zeros_like(logits)
    assert calibrate.calibrate([logits], [target], 1.0, pool(1)).thresholds == pytest.approx([1.0])
    assert calibrate.calibrate([logits], [target], 20.0, pool(1)).thresholds == pytest.approx([0.5])


def test_other_sounds_reach_a_threshold_as_rarely_as_is_said() -> None:
    """Of ten thousand windows two may; where the sound is, or may be, does not count."""
    given, wanted = pool(1)
    given[:3, 0] = 0.4, 0.6, 0.8
    quiet = streams([-9.0]), [np.zeros((1, 1))], 1.0
    assert calibrate.calibrate(*quiet, (given, wanted)).thresholds == pytest.approx([0.6])
    wanted[2] = 0.2
    assert calibrate.calibrate(*quiet, (given, wanted)).thresholds == pytest.approx([0.4])


@pytest.mark.parametrize(("apart", "threshold"), [(3, 0.0), (12, 0.5)])
def test_alarms_within_two_seconds_are_one(apart: int, threshold: float) -> None:
    """Two loud windows, where one alarm is allowed: together they are one, so that the threshold may fall further."""
    scores = np.zeros(20, np.float32)
    scores[0], scores[apart] = 0.5, 1.0
    assert calibrate.threshold([[scores]], allowed=1) == pytest.approx(threshold)
    assert calibrate.threshold([[scores]], allowed=0) == pytest.approx(1.0)


def test_several_sounds_share_the_false_alarms_that_are_allowed() -> None:
    one, other = np.array([0.9, 0.1], np.float32), np.array([0.1, 0.8], np.float32)
    assert calibrate.threshold([[one], [other]], allowed=1) == pytest.approx(0.8)


def test_the_layer_itself_answers_calibrated() -> None:
    torch.manual_seed(0)
    head, given = torch.nn.Linear(4, 3), torch.randn(5, 4)
    with torch.inference_mode():
        before = head(given).numpy()
    found = calibrate.Calibration(np.array([0.5, -1.0, 2.0], np.float32))
    found.fold(head)
    with torch.inference_mode():
        np.testing.assert_allclose(head(given).numpy(), found.apply(before), atol=1e-6)
