"""A network can be taken back from the file that it was exported to."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the training recipe needs torch; the bundled model does not")
pytest.importorskip("onnx", reason="reading a file needs onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="running a model needs onnxruntime")
warm = importlib.import_module("models.train.networks.warm")
RECIPES = importlib.import_module("models.train.networks.catalogue").RECIPES
MODELS = Path(__file__).parents[3] / "models"


def windows() -> Any:
    """Noise at many levels, float32 [16, 15600]."""
    torch.manual_seed(0)
    return torch.randn(16, 15_600) * torch.logspace(-3, -0.5, 16)[:, None]


@pytest.fixture(params=["lean", "convnext"])
def pair(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """A network taken back from its bundled file, and the file's probabilities and embedding for the windows."""
    made = RECIPES[request.param].make().eval()
    path = MODELS / f"{request.param}.onnx"
    warm.warm(made, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return made, session.run(["probabilities", "embedding"], {"waveform": windows().numpy()})


def embedding(network: Any) -> Any:
    with torch.inference_mode():
        return network(windows())[2].numpy()


def test_it_hears_and_answers_as_the_file_does(pair: tuple[Any, Any]) -> None:
    network, (probabilities, wanted) = pair
    np.testing.assert_allclose(embedding(network), wanted, atol=1e-5 * wanted.max())
    with torch.inference_mode():
        answer = torch.sigmoid(torch.cat(network(windows())[:2], dim=1)).numpy()
    np.testing.assert_allclose(answer, probabilities, atol=1e-5)


def test_unfolding_changes_nothing_but_the_statistics(pair: tuple[Any, Any]) -> None:
    """Afterwards a network in training, which normalises by the batch at hand, hears that batch just the same."""
    network, (_, wanted) = pair
    warm.unfold(network, torch.split(windows(), 6))
    np.testing.assert_allclose(embedding(network), wanted, atol=1e-5 * wanted.max())
    network.train()
    network.heads.dropout.p = 0.0
    np.testing.assert_allclose(embedding(network), wanted, atol=1e-4 * wanted.max())
