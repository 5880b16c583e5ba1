"""The classifier: scores, latencies, and inference beside the event loop."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from monitor.classify.classifier import Classifier
from monitor.classify.model import NativeModel
from monitor.errors import ModelError
from monitor.messages import Samples, Window
from tests.parts.slow_model import write_slow_model
from tests.parts.tiny_model import write_tiny_model

RATE, LENGTH = 16_000, 15_600


def windows(*levels: float) -> list[Window]:
    """One window of noise for each level, from alternating sources."""
    random = np.random.default_rng(0)
    return [
        Window(f"s{i % 3}", 7, i * 4000, RATE, _noise(random, level), datetime.now(UTC))
        for i, level in enumerate(levels)
    ]


def _noise(random: np.random.Generator, level: float) -> Samples:
    return (level * random.uniform(-1.0, 1.0, LENGTH)).astype(np.float32)


@pytest.fixture
def session(tmp_path: Path) -> NativeModel:
    """The tiny model, loaded."""
    return NativeModel(write_tiny_model(tmp_path / "ears.onnx"))


async def test_scores_come_in_the_order_of_their_windows(session: NativeModel) -> None:
    """Scores keep the order over several batches, the last of which is not full."""
    classifier = Classifier(session, batch=4)
    scores = await classifier.run(windows(0.9, 0.0, 0.9, 0.0, 0.0, 0.9, 0.9, 0.0, 0.9, 0.0))
    classifier.close()
    assert [round(float(score.probabilities[0])) for score in scores] == [1, 0, 1, 0, 0, 1, 1, 0, 1, 0]


async def test_a_window_scores_the_same_alone_and_in_company(session: NativeModel) -> None:
    """The other windows of a batch do not affect a score."""
    given = windows(0.01, 0.9, 0.03, 0.0, 0.02)
    alone, together = Classifier(session, batch=1), Classifier(session, batch=5)
    for one, other in zip(await alone.run(given), await together.run(given), strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, rtol=1e-5, atol=1e-6)
        assert one.embedding is not None
        assert other.embedding is not None
        np.testing.assert_allclose(one.embedding, other.embedding, rtol=1e-5, atol=1e-6)
    alone.close()
    together.close()


async def test_nan_is_an_error(session: NativeModel) -> None:
    """NaN from the model raises an error, as no rule could fire on it."""
    classifier = Classifier(session, batch=4)
    with pytest.raises(ModelError, match="the model returned NaN or infinite values"):
        await classifier.run(windows(0.1, np.nan, 0.1))
    classifier.close()


async def test_no_windows_no_scores(session: NativeModel) -> None:
    """An empty batch runs no inference."""
    classifier = Classifier(session, batch=4)
    assert await classifier.run([]) == []
    assert classifier.busy == 0.0
    classifier.close()


async def test_latencies(session: NativeModel) -> None:
    """Percentiles are ordered, and the latencies add up to the busy time."""
    classifier = Classifier(session, batch=2)
    assert classifier.percentile(0.95) == 0.0
    assert len(await classifier.run(windows(*[0.1] * 9))) == 9
    each = [classifier.percentile(k / 8) for k in range(9)]
    assert each[0] > 0.0
    assert each == sorted(each)
    assert classifier.busy == pytest.approx(sum(each))
    classifier.close()


async def test_a_running_batch_leaves_the_event_loop_free_and_can_be_terminated(tmp_path: Path) -> None:
    """The event loop runs during a long inference, and `terminate` ends it at once."""
    classifier = Classifier(NativeModel(write_slow_model(tmp_path / "slow.onnx")), batch=4)
    running = asyncio.create_task(classifier.run(windows(1.0)))
    turns, end = 0, time.monotonic() + 1.0
    while time.monotonic() < end:
        await asyncio.sleep(0.01)
        turns += 1
    assert not running.done()
    assert turns > 20
    classifier.terminate()
    with pytest.raises(Exception, match="terminate flag"):
        await asyncio.wait_for(running, 10)
    classifier.close()
