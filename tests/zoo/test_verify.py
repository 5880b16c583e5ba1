"""What `models verify` measures of a model."""

from pathlib import Path

import numpy as np
import pytest

from monitor.classify.model import Answer, Model, NativeModel
from monitor.messages import Samples
from monitor.zoo.verify import NEIGHBOURS, TIMED, batch_difference, run_times
from tests.parts.tiny_model import write_tiny_model


@pytest.fixture
def model(tmp_path: Path) -> NativeModel:
    """A model whose rows do not depend on each other."""
    return NativeModel(write_tiny_model(tmp_path / "tiny.onnx"))


class Coupled(NativeModel):
    """The same, but each row gets the mean answer of its batch."""

    def run(self, waveforms: Samples) -> Answer:
        """Average the probabilities over the batch."""
        probabilities, embedding = super().run(waveforms)
        return np.broadcast_to(probabilities.mean(axis=0), probabilities.shape), embedding


def windows(model: Model) -> Samples:
    """A loud and a quiet window."""
    noise = np.random.default_rng(0).uniform(-1, 1, (2, model.card.window))
    return (noise * [[0.5], [0.001]]).astype(np.float32)


def test_coupled_rows_are_detected(model: NativeModel) -> None:
    """Windows get the same answer alone and in a batch, with a silent one, unless the model couples rows."""
    difference, size = batch_difference(model, windows(model))
    assert (difference < 1e-5, size) == (True, 3)
    difference, _ = batch_difference(Coupled(Path(model.card.path)), windows(model))
    assert difference > 0.3


def test_a_batch_has_a_few_windows(model: NativeModel) -> None:
    """The batch is limited, whatever the number of recordings."""
    assert batch_difference(model, windows(model).repeat(10, axis=0))[1] == NEIGHBOURS + 1


def test_each_run_is_timed(model: NativeModel) -> None:
    """Every time is that of one run."""
    times = run_times(model, windows(model)[0])
    assert len(times) == TIMED
    assert min(times) > 0
