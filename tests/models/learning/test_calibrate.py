"""After calibration 0.5 means the same for every class."""

import importlib
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the training recipe needs torch; the bundled model does not")
calibrate = importlib.import_module("models.train.learning.calibrate")

WINDOWS = 8_000


@pytest.fixture
def held_out() -> tuple[Any, Any]:
    """Logits and targets of three classes: one is heard too readily, one too rarely, one is far too sure of itself."""
    rng = np.random.default_rng(6)
    targets = (rng.random((WINDOWS, 3)) < 0.1).astype(np.float32)
    logits = rng.normal([-2.0, -3.0, -1.0], 1.0, (WINDOWS, 3)) + 2.5 * targets
    logits[:, 2] += 9.0
    return logits.astype(np.float32), targets


def test_every_class_has_the_same_share_of_false_alarms(held_out: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the held-out windows are trusted."""
    monkeypatch.setattr(calibrate, "TRUST", 1.0)
    logits, targets = held_out
    alarms = calibrate.calibrate(logits, targets).apply(logits) > 0
    for column in (0, 1):
        assert alarms[targets[:, column] == 0, column].mean() == pytest.approx(calibrate.FALSE, abs=2 / WINDOWS)


def test_a_threshold_stays_within_bounds(held_out: Any) -> None:
    """The third class would have to be moved by eleven: it goes half of the way that it may."""
    logits, targets = held_out
    half = (calibrate.LOWEST + calibrate.HIGHEST) / 2
    assert calibrate.calibrate(logits, targets).thresholds[2] == pytest.approx(half, abs=1e-6)
    assert calibrate.calibrate(logits - 20, targets).thresholds.tolist() == pytest.approx([calibrate.LOWEST] * 3)


def test_what_may_be_there_is_no_false_alarm(held_out: Any) -> None:
    """A target of 0.2 says neither: such windows do not raise the threshold."""
    logits, targets = held_out
    before = calibrate.calibrate(logits, targets).thresholds
    more = np.concatenate((logits, np.full((500, 3), 3.0, np.float32)))
    after = calibrate.calibrate(more, np.concatenate((targets, np.full((500, 3), 0.2, np.float32)))).thresholds
    np.testing.assert_array_equal(before, after)


def test_logits_twice_as_sure_are_cooled_twice_as_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "TRUST", 1.0)
    monkeypatch.setattr(calibrate, "FALSE", 0.001)
    monkeypatch.setattr(calibrate, "HIGHEST", 9.0)
    rng = np.random.default_rng(6)
    targets = (rng.random((WINDOWS, 1)) < 0.1).astype(np.float32)
    logits = (rng.normal(-2.0, 1.0, (WINDOWS, 1)) + 1.2 * targets).astype(np.float32)
    once, twice = calibrate.calibrate(logits / 2, targets), calibrate.calibrate(logits, targets)
    assert 0.5 < once.temperature < 1.0
    assert twice.temperature == pytest.approx(2 * once.temperature, rel=0.01)


def test_a_layer_with_the_calibration_folded_in_answers_like_the_table() -> None:
    torch.manual_seed(1)
    layer, features = torch.nn.Linear(5, 3), torch.randn(20, 5)
    found = calibrate.Calibration(np.array([0.5, -1.0, 0.0], np.float32), 1.7)
    with torch.no_grad():
        wanted = found.apply(layer(features).numpy())
        found.fold(layer)
        np.testing.assert_allclose(layer(features).numpy(), wanted, atol=1e-6)
