"""The second teacher answers as its authors' code does, where its checkpoint is at hand."""

import importlib
import os
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the training recipe needs torch; the bundled model does not")
efficientat = importlib.import_module("models.train.learning.efficientat")
TEACHERS = Path(os.environ.get("TRAIN_DATA", "")) / "teacher"


def test_it_answers_as_the_authors_code_does() -> None:
    if not (TEACHERS / "efficientat_mn04_as.pt").exists():
        pytest.skip("needs the published checkpoint: set TRAIN_DATA to the folder with recordings and teachers")
    network = efficientat.EfficientAt()
    network.load_state_dict(torch.load(TEACHERS / "efficientat_mn04_as.pt", weights_only=True))
    known = np.load(TEACHERS / "efficientat_answers.npz")
    with torch.inference_mode():
        for length in ("1s", "2s"):
            logits, embedding = network.eval()(torch.from_numpy(known[f"waveform_{length}"]))
            np.testing.assert_allclose(torch.sigmoid(logits), known[f"probabilities_{length}"], atol=1e-5)
            np.testing.assert_allclose(embedding, known[f"embedding_{length}"], atol=1e-4)


def test_any_length_and_silence_give_an_answer() -> None:
    network = efficientat.EfficientAt().eval()
    with torch.inference_mode():
        for samples in (32_000, 50_001):
            logits, embedding = network(torch.zeros(2, samples))
            assert logits.shape == (2, 527)
            assert embedding.shape == (2, 384)
            assert torch.isfinite(logits).all()


def test_a_squeeze_is_a_quarter_as_wide_and_a_multiple_of_eight() -> None:
    widths = {
        width: efficientat.Squeezes(width).conc_se_layers[0].fc1.out_features for width in (32, 48, 192, 272, 384)
    }
    assert widths == {32: 8, 48: 16, 192: 48, 272: 72, 384: 96}
