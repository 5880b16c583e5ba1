"""How far the answers of two models are from each other."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from monitor.errors import ModelError
from monitor.zoo.build.compare import Drift, Likeness, alone, compare_models, largest_difference
from monitor.zoo.build.quantize import quantize
from monitor.zoo.metadata import Quantization
from tests.zoo.small_graph import save, small_model, sounds


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A float model."""
    return save(small_model(), tmp_path)


def test_a_model_does_not_drift_from_itself(small: Path) -> None:
    """A model with classes is compared by its scores."""
    assert compare_models(small, small, sounds(8)) == Drift(windows=8, largest=0, mean=0, top1=1)


def test_a_comparison_requires_sound(small: Path) -> None:
    """Without a window there is nothing to compare on."""
    with pytest.raises(ModelError, match="no sound to compare"):
        compare_models(small, small, [])


def test_a_model_without_classes_is_compared_by_its_embeddings(small: Path, tmp_path: Path) -> None:
    """Cosines of embeddings are 1 for the same model, and a little less for its 8-bit version."""
    bare = onnx.load(small)
    del bare.graph.output[0]
    onnx.save_model(bare, small)
    int8 = tmp_path / "int8.onnx"
    quantize(small, int8, sounds(16), Quantization())
    same, other = compare_models(small, small, sounds(4)), compare_models(small, int8, sounds(4))
    assert isinstance(same, Likeness)
    assert isinstance(other, Likeness)
    assert same.windows == 4
    assert (same.mean, same.least) == pytest.approx((1, 1), rel=1e-6)
    assert 0.9 < other.least <= other.mean < 1 - 1e-6


def test_large_values_are_compared_relative_to_the_largest() -> None:
    """Probabilities are compared as they are, embeddings beyond 1 relative to their largest value."""
    wanted = [np.array([[0.5, 0.25]], np.float32), np.array([[8.0, 2.0]], np.float32)]
    assert largest_difference(wanted, wanted) == 0
    assert largest_difference([wanted[0] + 0.125, wanted[1]], wanted) == 0.125
    assert largest_difference([wanted[0], wanted[1] + 2], wanted) == 0.25
    assert np.isnan(largest_difference([wanted[0] * np.nan, wanted[1]], wanted))


def test_rows_are_run_on_their_own() -> None:
    """A model that averages its batch gives each row its own value; outputs that it lacks are left out."""
    answers = alone(lambda rows: (np.full((len(rows), 1), rows.mean(), np.float32), None), np.eye(2, dtype=np.float32))
    assert [answer.tolist() for answer in answers] == [[[0.5], [0.5]]]
