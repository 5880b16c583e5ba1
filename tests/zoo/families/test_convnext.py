"""ConvNeXt-Tiny: its published weights, its answers, and its model file."""

from collections.abc import Mapping
from dataclasses import replace
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
from monitor.zoo.build.torch_graph import to_onnx
from monitor.zoo.families.convnext import BANDS, FAMILY, HOP, RATE, ConvNeXt
from monitor.zoo.layers.mel import slaney_bank
from tests.zoo.seeded import GOLDEN, clip, golden_keys, state_dict

DEPTHS, WIDTHS, CLASSES = (1, 1, 2, 1), (8, 16, 24, 32), 10
SECOND = RATE

Weights = Mapping[str, Tensor]


def small(salt: int = 1) -> ConvNeXt:
    """A small network of the same shape."""
    network = ConvNeXt(DEPTHS, WIDTHS, CLASSES)
    network.load_state_dict(state_dict({key: tuple(w.shape) for key, w in network.state_dict().items()}, salt))
    return network.eval()


def clips(count: int, samples: int, salt: int = 1) -> Samples:
    """float32[count, samples]: seeded sounds, the second of them silence."""
    return np.stack([clip(salt + row, samples) * (row != 1) for row in range(count)])


def run(session: onnxruntime.InferenceSession, waveforms: Samples) -> tuple[Samples, Samples]:
    """Probabilities and embeddings."""
    probabilities, embeddings = session.run(["probabilities", "embedding"], {"waveform": waveforms})
    return probabilities, embeddings


def plain(weights: Weights, waveform: Tensor) -> tuple[Tensor, Tensor]:
    """The network's answer, step by step from published weights, without any of its code."""
    bank = torch.from_numpy(slaney_bank(RATE, 1024, BANDS, 50, 14_000))
    spectrum = torch.stft(waveform, 1024, HOP, window=torch.hann_window(1024), return_complex=True, pad_mode="reflect")
    mel = 10 * torch.log10((spectrum.abs().square().transpose(1, 2) @ bank).clamp(min=1e-10))
    mel = (mel - weights["bn0.running_mean"]) / torch.sqrt(weights["bn0.running_var"] + 1e-5)
    x = (mel * weights["bn0.weight"] + weights["bn0.bias"])[:, None]
    x = F.conv2d(x, *_of(weights, "downsample_layers.0.0"), stride=4, padding=(4, 0))
    x = _norm(weights, "downsample_layers.0.1", x)
    for stage, depth in enumerate(DEPTHS):
        if stage:
            x = _norm(weights, f"downsample_layers.{stage}.0", x)
            x = F.conv2d(x, *_of(weights, f"downsample_layers.{stage}.1"), stride=2)
        for number in range(depth):
            x = x + _branch(weights, f"stages.{stage}.{number}", x)
    x = x.mean(3)
    pooled = x.max(2).values + x.mean(2)
    embedding = _norm(weights, "norm", pooled[:, :, None, None])[:, :, 0, 0]
    return torch.sigmoid(F.linear(embedding, *_of(weights, "head_audioset"))), embedding


def _branch(weights: Weights, block: str, x: Tensor) -> Tensor:
    y = F.conv2d(x, *_of(weights, f"{block}.dwconv"), padding=3, groups=x.shape[1])
    y = _norm(weights, f"{block}.norm", y).movedim(1, 3)
    y = F.linear(y, *_of(weights, f"{block}.pwconv1"))
    y = y / 2 * (1 + torch.erf(y / 2**0.5))
    y = F.linear(y, *_of(weights, f"{block}.pwconv2")) * weights[f"{block}.gamma"]
    return y.movedim(3, 1)


def _norm(weights: Weights, layer: str, x: Tensor) -> Tensor:
    weight, bias = _of(weights, layer)
    x = (x - x.mean(1, keepdim=True)) / torch.sqrt(x.var(1, keepdim=True, unbiased=False) + 1e-6)
    return x * weight[:, None, None] + bias[:, None, None]


def _of(weights: Weights, layer: str) -> tuple[Tensor, Tensor]:
    return weights[f"{layer}.weight"], weights[f"{layer}.bias"]


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    """Weights under every key of the published file, seeded as those of the golden answers."""
    return state_dict(golden_keys("convnext_tiny"))


@pytest.fixture(scope="module")
def tiny(published: dict[str, Tensor]) -> nn.Module:
    """The network of these weights in full size, folded for the export."""
    return FAMILY.fold(FAMILY.build(published, FAMILY.window))


@pytest.fixture(scope="module")
def golden() -> Samples:
    """The answer of the authors' code to two clips with the golden weights: float32[2, 527]."""
    scores: Samples = np.load(GOLDEN / "convnext_tiny.1.npz")["probabilities"]
    return scores


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a small network."""
    path = tmp_path_factory.mktemp("convnext") / "small.onnx"
    metadata = {"name": "small"}
    export_network(small(), path, metadata, window=2 * SECOND, shortest=FAMILY.shortest, fold=FAMILY.fold)
    return path


def test_the_published_weights_give_the_golden_answers(published: dict[str, Tensor], golden: Samples) -> None:
    """The network in full size answers as the authors' code."""
    with torch.no_grad():
        network = FAMILY.build(published, FAMILY.window)
        probabilities, embedding = network(torch.from_numpy(np.stack([clip(1), clip(2)])))
    np.testing.assert_allclose(probabilities, golden, rtol=0, atol=5e-6)
    assert embedding.shape == (2, 768)


def test_the_folded_network_exported_gives_the_golden_answers(tiny: nn.Module, golden: Samples) -> None:
    """The exported network in full size answers as the authors' code in ONNX Runtime."""
    model = to_onnx(tiny, FAMILY.window, FAMILY.shortest)
    probabilities, _ = run(onnxruntime.InferenceSession(model.SerializeToString()), np.stack([clip(1), clip(2)]))
    np.testing.assert_allclose(probabilities, golden, rtol=0, atol=5e-6)


@pytest.mark.parametrize("salt", [2, 3])
@pytest.mark.parametrize("samples", [SECOND, SECOND + 1, 57_777])
def test_answers_are_those_of_the_plain_computation(salt: int, samples: int) -> None:
    """Other weights and lengths, folded or not, agree; folding leaves the original network unchanged."""
    network, waveforms = small(salt), torch.from_numpy(clips(3, samples, salt))
    with torch.no_grad():
        expected = plain(network.state_dict(), waveforms)
        folded = FAMILY.fold(network)
        assert "bn0.weight" in network.state_dict()
        for answers in (network(waveforms), folded(waveforms)):
            for answer, wanted in zip(answers, expected, strict=True):
                torch.testing.assert_close(answer, wanted, rtol=0, atol=2e-5)
    assert not [key for key in folded.state_dict() if key.startswith("bn0") or "gamma" in key]


@pytest.mark.parametrize("samples", [SECOND, 57_777, 3 * SECOND])
def test_a_row_of_a_batch_gets_the_answer_that_it_gets_alone(exported: Path, samples: int) -> None:
    """Each row of the exported file, also a silent one, gets the network's answer for it alone, at any length."""
    session, network = onnxruntime.InferenceSession(exported), small()
    waveforms = clips(5, samples)
    with torch.no_grad():
        alone = [network(torch.from_numpy(row[None])) for row in waveforms]
    for batch in (1, 2, 3, 5):
        for answer, wanted in zip(run(session, waveforms[:batch]), zip(*alone, strict=True), strict=True):
            np.testing.assert_allclose(answer, torch.cat(wanted[:batch]), rtol=0, atol=2e-5)


def test_a_key_too_few_or_too_many_or_of_another_shape_is_named(published: dict[str, Tensor]) -> None:
    """Constants of the published front end are ignored."""
    FAMILY.build({**published, "logmel_extractor.melW": torch.zeros(513, 224)}, FAMILY.window)
    kept = {key: value for key, value in published.items() if key != "stages.3.2.gamma"}
    with pytest.raises(ModelError, match=r"lacks stages\.3\.2\.gamma and also holds head\.weight"):
        FAMILY.build(kept | {"head.weight": torch.zeros(1)}, 1)
    with pytest.raises(ModelError, match=r"bn0\.weight is \[64\], not \[224\]"):
        FAMILY.build({**published, "bn0.weight": torch.zeros(64)}, FAMILY.window)


def test_int8_keeps_the_stem_and_the_head_in_float(exported: Path, tmp_path: Path) -> None:
    """The stem and the head cost little and would lose most; all other layers become int8."""
    int8, sounds = tmp_path / "int8.onnx", list(clips(4, 2 * SECOND)[[0, 2, 3]])
    quantize(exported, int8, sounds, FAMILY.quantization)
    made_of_int8 = {
        output for node in onnx.load(int8).graph.node if node.op_type == "DequantizeLinear" for output in node.output
    }
    layers = [node for node in onnx.load(int8).graph.node if node.op_type in ("Conv", "Gemm")]
    assert [node.name.rsplit(".", 1)[0] for node in layers if node.input[1] not in made_of_int8] == [
        "downsample_layers.0.0",
        "head_audioset",
    ]
    assert len(layers) == 5 + 3 * sum(DEPTHS)
    assert compare_models(exported, int8, sounds).mean < 0.01
    coarse = tmp_path / "coarse.onnx"
    quantize(exported, coarse, sounds, replace(FAMILY.quantization, keep=()))
    assert compare_models(exported, int8, sounds).mean < compare_models(exported, coarse, sounds).mean
