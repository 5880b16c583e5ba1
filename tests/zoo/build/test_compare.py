"""How far two models' answers are from each other."""

from pathlib import Path

import numpy as np
import pytest

from monitor.errors import ModelError
from monitor.zoo.build.compare import Drift, average_precision, drift, likeness
from monitor.zoo.build.quantize import quantize
from monitor.zoo.quantization import Quantization
from tests.zoo.small_graph import save, small_model, sounds


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A float model."""
    return save(small_model(), tmp_path)


def test_no_drift(small: Path) -> None:
    """A model does not drift from itself."""
    assert drift(small, small, sounds(8)) == Drift(windows=8, largest=0, mean=0, top1=1, ranking=1)


def test_drift_without_sound(small: Path) -> None:
    """There is no drift to tell over no sound."""
    with pytest.raises(ModelError, match="no sound to compare"):
        drift(small, small, [])


def test_likeness(small: Path, tmp_path: Path) -> None:
    """Embeddings are compared by their direction; a model's own point its way."""
    int8 = tmp_path / "int8.onnx"
    quantize(small, int8, sounds(16), Quantization())
    np.testing.assert_allclose(likeness(small, small, sounds(4)), np.ones(4), rtol=1e-6)
    assert 0.9 < likeness(small, int8, sounds(4)).min() < 1 - 1e-6
    with pytest.raises(ModelError, match="no sound to compare"):
        likeness(small, small, [])


def test_average_precision() -> None:
    """Two of four are positive, ranked first and third: the mean of 1/1 and 2/3."""
    scores = np.array([0.9, 0.8, 0.7, 0.1], np.float32)

    assert average_precision(scores, np.array([True, False, True, False])) == pytest.approx((1 + 2 / 3) / 2)
