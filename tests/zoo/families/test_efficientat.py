"""EfficientAT: its published weights, its answers, and its model file."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from monitor.errors import ModelError
from monitor.messages import Samples
from monitor.zoo.build.compare import compare_models
from monitor.zoo.build.export import export_network
from monitor.zoo.build.quantize import quantize
from monitor.zoo.families.efficientat import BANDS, FAMILY, HOP, RATE, EfficientAt, scaled
from monitor.zoo.layers.mel import kaldi_bank
from tests.zoo.seeded import clip, golden_keys, state_dict

DATA = os.environ.get("SOUND_MONITOR_DATA")
"""Folder with teacher/efficientat_mn04_as.pt and its answers, which do not come with the project."""

CLASSES = 527
SECOND = RATE
HALVED = (2, 4, 7, 13)
"""Layers of `features`, beside the first, that halve both axes."""
RECTIFIED = range(1, 7)
"""Layers with ReLU; the others have hard-swish."""

Weights = Mapping[str, Tensor]


def seeded(shapes: Mapping[str, tuple[int, ...]], salt: int = 1) -> dict[str, Tensor]:
    """Seeded weights whose residual branches stay small, as those of a trained network."""
    weights = state_dict(shapes, salt)
    return {key: value * 0.5 if key.endswith(".1.weight") else value for key, value in weights.items()}


def small(factor: float = 0.1, salt: int = 1, classes: int = CLASSES) -> EfficientAt:
    """A seeded network of a narrow width."""
    network = EfficientAt(factor, classes)
    network.load_state_dict(seeded({key: tuple(w.shape) for key, w in network.state_dict().items()}, salt))
    return network.eval()


def clips(count: int, samples: int, salt: int = 1) -> Samples:
    """float32[count, samples]: seeded sounds, the second of them silence."""
    return np.stack([clip(salt + row, samples) * (row != 1) for row in range(count)])


def plain(weights: Weights, waveform: Tensor) -> tuple[Tensor, Tensor]:
    """The authors' answer in double precision, from published weights, without any of the network's code."""
    weights = {key: value.double() for key, value in weights.items()}
    x = F.conv1d(waveform.double()[:, None], torch.tensor([[[-0.97, 1.0]]], dtype=torch.float64))[:, 0]
    hann = torch.hann_window(800, periodic=False, dtype=torch.float64)
    spectrum = torch.stft(x, 1024, HOP, 800, hann, pad_mode="reflect", return_complex=True)
    bank = torch.from_numpy(kaldi_bank(RATE, 1024, BANDS, 0, 15_000)).double()
    x = (((bank.T @ spectrum.abs().square() + 1e-5).log() + 4.5) / 5)[:, None]
    x = F.hardswish(_layer(weights, "features.0", x, stride=2))
    for number in range(1, 16):
        x = _block(weights, number, x)
    embedding = F.hardswish(_layer(weights, "features.16", x)).mean((2, 3))
    hidden = F.hardswish(F.linear(embedding, *_of(weights, "classifier.2")))
    return F.linear(hidden, *_of(weights, "classifier.5")).sigmoid(), embedding


def _block(weights: Weights, number: int, x: Tensor) -> Tensor:
    entered, name = x, f"features.{number}.block"
    activation = F.relu if number in RECTIFIED else F.hardswish
    parts = sorted({int(key.split(".")[3]) for key in weights if key.startswith(f"{name}.")})
    for part in parts[:-1]:
        if f"{name}.{part}.0.weight" in weights:
            filters = weights[f"{name}.{part}.0.weight"].shape[2] > 1
            stride = 2 if filters and number in HALVED else 1
            x = activation(_layer(weights, f"{name}.{part}", x, stride))
        else:
            squeeze = f"{name}.{part}.conc_se_layers.0"
            means = F.adaptive_avg_pool2d(x, 1).flatten(1)
            hidden = F.linear(means, *_of(weights, f"{squeeze}.fc1")).relu()
            x = x * torch.sigmoid(F.linear(hidden, *_of(weights, f"{squeeze}.fc2")))[..., None, None]
    x = _layer(weights, f"{name}.{parts[-1]}", x)
    return x + entered if x.shape == entered.shape else x


def _layer(weights: Weights, name: str, x: Tensor, stride: int = 1) -> Tensor:
    """A convolution and its batch norm."""
    kernel = weights[f"{name}.0.weight"]
    padding, groups = kernel.shape[2] // 2, x.shape[1] // kernel.shape[1]
    x = F.conv2d(x, kernel, stride=stride, padding=padding, groups=groups)
    mean, variance = weights[f"{name}.1.running_mean"], weights[f"{name}.1.running_var"]
    return F.batch_norm(x, mean, variance, *_of(weights, f"{name}.1"), eps=1e-3)


def _of(weights: Weights, layer: str) -> tuple[Tensor, Tensor]:
    return weights[f"{layer}.weight"], weights[f"{layer}.bias"]


def run(path: Path, waveforms: Samples) -> tuple[Samples, Samples]:
    """Probabilities and embeddings of a model file."""
    session = onnxruntime.InferenceSession(path)
    probabilities, embeddings = session.run(["probabilities", "embedding"], {"waveform": waveforms})
    return probabilities, embeddings


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    """Seeded weights under every key of the published mn04."""
    return seeded(golden_keys("efficientat_mn04"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a small network."""
    path = tmp_path_factory.mktemp("efficientat") / "small.onnx"
    export_network(
        small(), path, {"name": "small"}, window=2 * SECOND, shortest=FAMILY.shortest, fold=FAMILY.fold
    )  # fmt: skip
    return path


def test_mn04_with_published_keys_is_the_plain_computation(published: dict[str, Tensor]) -> None:
    """The network in full size, of the width that the weights have, answers as the plain computation."""
    network, waveforms = FAMILY.build(published, FAMILY.window), torch.from_numpy(clips(2, 2 * SECOND))
    with torch.no_grad():
        for answer, wanted in zip(network(waveforms), plain(published, waveforms), strict=True):
            torch.testing.assert_close(answer, wanted.float(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("factor", [0.05, 0.1, 0.2])
@pytest.mark.parametrize("samples", [6_400, SECOND + 1, 57_777])
def test_answers_are_those_of_the_plain_computation(factor: float, samples: int) -> None:
    """Other widths and lengths, folded or not, agree; folding leaves the original network unchanged."""
    network, waveforms = small(factor, 2), torch.from_numpy(clips(3, samples))
    with torch.no_grad():
        expected = plain(network.state_dict(), waveforms)
        folded = FAMILY.fold(network)
        assert "features.0.1.weight" in network.state_dict()
        for answers in (FAMILY.build(network.state_dict(), samples)(waveforms), folded(waveforms)):
            for answer, wanted in zip(answers, expected, strict=True):
                torch.testing.assert_close(answer, wanted.float(), rtol=0, atol=2e-5)
    assert not [module for module in folded.modules() if isinstance(module, nn.BatchNorm2d)]


@pytest.mark.parametrize("samples", [6_400, 57_777, 3 * SECOND])
def test_a_row_of_a_batch_gets_the_answer_that_it_gets_alone(exported: Path, samples: int) -> None:
    """Each row of the exported file, also a silent one, gets the network's answer for it alone, at any length."""
    network, waveforms = small(), clips(5, samples)
    with torch.no_grad():
        alone = [network(torch.from_numpy(row[None])) for row in waveforms]
    for batch in (1, 5):
        for answer, wanted in zip(run(exported, waveforms[:batch]), zip(*alone, strict=True), strict=True):
            np.testing.assert_allclose(answer, torch.cat(wanted[:batch]), rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    ("factor", "hidden", "stem", "inside"),
    [(0.1, 128, 8, 8), (0.4, 512, 8, 32), (1.0, 1280, 16, 72), (4.0, 5120, 64, 288)],
)
def test_a_width_is_rounded_to_multiples_of_eight(factor: float, hidden: int, stem: int, inside: int) -> None:
    """Channels of the hidden layer, the stem and the fourth block of mn01, mn04, mn10 and mn40."""
    assert [scaled(channels * factor) for channels in (1280, 16, 72)] == [hidden, stem, inside]


def test_a_key_too_few_or_too_many_or_of_another_shape_is_named(published: dict[str, Tensor]) -> None:
    """The message names the key; a network with another head is refused."""
    kept = {key: value for key, value in published.items() if key != "features.4.block.2.conc_se_layers.0.fc1.bias"}
    with pytest.raises(ModelError, match=r"lacks features\.4\.block\.2\S*fc1\.bias and also holds head\.weight"):
        FAMILY.build(kept | {"head.weight": torch.zeros(1)}, 1)
    with pytest.raises(ModelError, match=r"features\.0\.0\.weight is \[16, 1, 3, 3\], not \[8, 1, 3, 3\]"):
        FAMILY.build({**published, "features.0.0.weight": torch.zeros(16, 1, 3, 3)}, 1)
    with pytest.raises(ModelError, match=r"no hidden layer 'classifier\.2'"):
        FAMILY.build({key: value for key, value in published.items() if not key.startswith("classifier")}, 1)


def test_int8_keeps_the_first_layers_and_the_squeeze_excitations_in_float(exported: Path, tmp_path: Path) -> None:
    """All other layers become int8: three convolutions in each of nine blocks, the last one, and the head's two."""
    int8, sounds = tmp_path / "int8.onnx", list(clips(4, 2 * SECOND)[[0, 2, 3]])
    quantize(exported, int8, sounds, FAMILY.quantization)
    graph = onnx.load(int8).graph
    made_of_int8 = {output for node in graph.node if node.op_type == "DequantizeLinear" for output in node.output}
    layers = [node for node in graph.node if node.op_type in ("Conv", "Gemm")]
    kept = {int(node.name.split(".")[1]) for node in layers if node.input[1] not in made_of_int8}
    assert kept == {0, 1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15}
    rounded = [node.op_type for node in layers if node.input[1] in made_of_int8]
    assert (rounded.count("Conv"), rounded.count("Gemm")) == (3 * 9 + 1, 2)
    assert compare_models(exported, int8, sounds).mean < 0.02


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    """The network of the published mn04, and its file."""
    if DATA is None:
        pytest.skip("needs published weights: SOUND_MONITOR_DATA must name a folder with teacher/")
    network = FAMILY.build(FAMILY.read(Path(DATA, "teacher/efficientat_mn04_as.pt")), FAMILY.window)
    path = tmp_path_factory.mktemp("mn04") / "mn04.onnx"
    export_network(network, path, {}, window=2 * SECOND, shortest=FAMILY.shortest, fold=FAMILY.fold)
    return network, path


@pytest.mark.parametrize("seconds", [1, 2, 5, 10])
def test_the_published_weights_give_the_answers_of_the_authors_code(real: tuple[nn.Module, Path], seconds: int) -> None:
    """The network and its file answer as the authors' code: two sweeps and silence."""
    network, path = real
    waveforms = np.stack([sweep(1, seconds * SECOND), sweep(2, seconds * SECOND), np.zeros(seconds * SECOND, "f4")])
    with np.load(Path(DATA or "", "teacher/efficientat_answers.npz")) as answers, torch.no_grad():
        wanted = [answers[f"{kind}_{seconds}s"] for kind in ("probabilities", "embedding")]
        for given in (network(torch.from_numpy(waveforms)), run(path, waveforms)):
            for answer, truth in zip(given, wanted, strict=True):
                np.testing.assert_allclose(answer, truth, rtol=0, atol=1e-4)


def sweep(seed: int, samples: int) -> Samples:
    """The input of the published answers, float32[samples]: a decaying sweep in faint noise."""
    noise = np.random.default_rng(seed).standard_normal(samples)
    t = np.arange(samples) / RATE
    tone = 0.3 * np.sin(2 * np.pi * (200 + 600 * seed) * t * (1 + 0.2 * t)) * np.exp(-t * (seed % 3))
    return np.asarray(tone + 0.02 * noise, np.float32)
