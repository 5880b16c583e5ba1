"""Export: a self-describing file that answers as the network does, or no file."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from monitor.classify.open import open_model
from monitor.config.schema import ModelConfig
from monitor.errors import ModelError
from monitor.zoo.build.export import Expected, export_network, save_proven, sounds
from monitor.zoo.layers.log_mel import decibel_mel
from monitor.zoo.metadata import metadata_for

RATE, WINDOW, SHORTEST = 32_000, 6400, 3200
METADATA = metadata_for(
    "tiny",
    family="test",
    sample_rate=RATE,
    window=WINDOW,
    labels=("dog", "cat", "bell"),
    licence="CC0-1.0",
    source="the tests",
    training={"hours": 8},
)


class Tiny(nn.Module):
    """A front end, a convolution, and a layer on the mean."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.frontend = decibel_mel(RATE, 320, 64)
        self.block = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, stride=2), nn.ReLU())
        self.head = nn.Linear(4, 3)

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities and the embedding."""
        embedding = self.block(self.frontend(waveform)[:, None] / 50).mean((2, 3))
        return torch.sigmoid(self.head(embedding)), embedding


@pytest.fixture(scope="module")
def network() -> Tiny:
    """The tiny network in eval mode."""
    return Tiny().eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, network: Tiny) -> Path:
    """The tiny network as a file that takes any length."""
    path = tmp_path_factory.mktemp("exported") / "models" / "tiny.onnx"
    assert export_network(network, path, METADATA, window=WINDOW, shortest=SHORTEST) < 1e-5
    return path


def test_the_file_runs_in_the_monitor(exported: Path) -> None:
    """The card repeats the metadata, and the trial run on opening passes."""
    model = open_model(ModelConfig(name=str(exported)))
    card = model.card
    assert (card.name, card.family, card.sample_rate, card.window) == ("tiny", "test", RATE, WINDOW)
    assert (card.labels, card.licence, card.source) == (("dog", "cat", "bell"), "CC0-1.0", "the tests")
    assert model.run(np.zeros((1, WINDOW), np.float32))[1] is not None


@pytest.mark.parametrize("batch", [1, 2, 3, 5])
@pytest.mark.parametrize("samples", [SHORTEST, SHORTEST + 1, WINDOW, 3 * WINDOW + 77])
def test_the_file_takes_any_batch_and_length(exported: Path, network: Tiny, batch: int, samples: int) -> None:
    """Each row, also a silent one, gets the answer that the network gives it alone."""
    waveforms = sounds(batch, samples)
    answer, _ = onnxruntime.InferenceSession(str(exported)).run(None, {"waveform": waveforms})
    with torch.no_grad():
        alone = [network(torch.from_numpy(row[None]))[0][0].numpy() for row in waveforms]
    assert answer == pytest.approx(np.stack(alone), abs=1e-5)


def test_nodes_are_named_by_their_modules(exported: Path) -> None:
    """Quantisation finds layers by the names of their modules."""
    names = [node.name for node in onnx.load(exported).graph.node]
    assert len(set(names)) == len(names)
    assert sum(name.startswith("block.0.Conv_") for name in names) == 1
    assert sum(name.startswith("frontend.spectrum.MatMul_") for name in names) == 4


def test_the_file_carries_no_traces_of_the_machine(exported: Path) -> None:
    """The file contains no paths of source files or module names of packages."""
    content = exported.read_bytes()
    assert b".py" not in content
    assert str(Path.home()).encode() not in content


def test_metadata_has_the_training_if_there_was_any(exported: Path) -> None:
    """The training is JSON; a published network has none."""
    metadata = {entry.key: entry.value for entry in onnx.load(exported).metadata_props}
    assert json.loads(metadata["training"]) == {"hours": 8}
    bare = metadata_for("n", family="f", sample_rate=1, window=1, labels=(), licence="l", source="s")
    assert "training" not in bare


def test_another_network_is_detected(exported: Path) -> None:
    """The comparison that the export relies on detects a difference in one bias."""
    other = Tiny().eval()
    with torch.no_grad():
        other.head.bias.add_(0.01)
    assert 1e-4 < Expected.of(other, WINDOW).difference(exported) < 1e-2


@pytest.mark.parametrize("difference", [0.1, float("nan")])
def test_a_file_that_answers_differently_is_not_left(tmp_path: Path, exported: Path, difference: float) -> None:
    """The previous file stays, and nothing is left beside it."""
    path = tmp_path / "tiny.onnx"
    path.write_text("before")
    with pytest.raises(ModelError, match="its answers differ from the network"):
        save_proven(onnx.load(exported), path, METADATA, lambda _part: difference)
    assert [file.name for file in tmp_path.iterdir()] == ["tiny.onnx"]
    assert path.read_text() == "before"


def test_half_precision_keeps_the_front_end_wide(
    tmp_path: Path, network: Tiny, capfd: pytest.CaptureFixture[str]
) -> None:
    """Weights take half the space, the answers stay close, and the exporter prints nothing."""
    assert 0 < export_network(network, tmp_path / "half.onnx", METADATA, window=WINDOW, half=True) < 0.01
    kinds = {tensor.name: tensor.data_type for tensor in onnx.load(tmp_path / "half.onnx").graph.initializer}
    half, full = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    assert {kind for name, kind in kinds.items() if ".block.0" in name} == {half}
    assert {kind for name, kind in kinds.items() if ".frontend.scale" in name} == {full}
    assert network.head.weight.dtype is torch.float32
    assert "".join(capfd.readouterr()) == ""
