"""What the actions that make models print."""

from pathlib import Path

import numpy as np

from monitor.commands.models.building import drift_text
from monitor.zoo.build.compare import compare_models
from tests.parts.tiny_clap import WINDOW, write_tiny_clap
from tests.parts.tiny_model import write_tiny_model


def test_a_model_with_classes_is_compared_by_its_scores(tmp_path: Path) -> None:
    """The drift of the scores is described in words."""
    path = write_tiny_model(tmp_path / "loud.onnx")
    said = drift_text(compare_models(path, path, [np.full(15_600, 0.1, np.float32)] * 2))
    assert said == (
        "on 2 windows its scores differ from the float model's by 0.0000 on average, 0.00 at most; "
        "the best class is the same in 100%"
    )


def test_a_prompted_model_is_compared_by_its_embeddings(tmp_path: Path) -> None:
    """A model without classes of its own has only embeddings to compare."""
    path = write_tiny_clap(tmp_path / "clicks.onnx")
    said = drift_text(compare_models(path, path, [np.full(WINDOW, 0.1, np.float32)] * 2))
    assert said == (
        "on 2 windows the cosine between its embeddings and the float model's is 1.0000 on average, 1.0000 at least"
    )
