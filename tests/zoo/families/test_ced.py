"""CED: its published weights in both layouts, its answers, and its model file."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from monitor.classify.model import NativeModel
from monitor.errors import ModelError
from monitor.messages import Samples
from monitor.zoo.build.compare import compare_models
from monitor.zoo.build.export import export_network
from monitor.zoo.build.quantize import quantize
from monitor.zoo.families.ced import FAMILY, HOP, LONGEST, RATE
from monitor.zoo.layers.mel import htk_bank
from monitor.zoo.metadata import metadata_for
from tests.zoo.seeded import clip, state_dict

SECOND = RATE
WIDTH, HIDDEN, DEPTH = 128, 256, 2

Weights = dict[str, Tensor]


def published(salt: int = 1, width: int = WIDTH, hidden: int = HIDDEN) -> Weights:
    """Seeded weights under the keys of the authors' file, small; positions matter as much as patches."""
    shapes: dict[str, tuple[int, ...]] = {
        "time_pos_embed": (1, width, 1, 63),
        "freq_pos_embed": (1, width, 4, 1),
        "front_end.0.mel_scale.fb": (257, 64),
        "init_bn.1.weight": (64,),
        "init_bn.1.bias": (64,),
        "patch_embed.proj.weight": (width, 1, 16, 16),
        "patch_embed.proj.bias": (width,),
        **_layer("norm", width),
        **_layer("outputlayer.0", width),
        **_layer("outputlayer.1", 527, width),
    }
    for block in (f"blocks.{number}" for number in range(DEPTH)):
        shapes |= _layer(f"{block}.norm1", width) | _layer(f"{block}.attn.qkv", 3 * width, width)
        shapes |= _layer(f"{block}.norm2", width) | _layer(f"{block}.attn.proj", width, width)
        shapes |= _layer(f"{block}.mlp.fc1", hidden, width) | _layer(f"{block}.mlp.fc2", width, hidden)
    weights = state_dict(shapes, salt)
    weights["time_pos_embed"] *= 50
    weights["freq_pos_embed"] *= 10
    counted = {"init_bn.1.num_batches_tracked": torch.tensor(7)}
    return (
        weights
        | counted
        | {
            "init_bn.1.running_mean": torch.linspace(-10, -40, 64),
            "init_bn.1.running_var": torch.linspace(300, 500, 64),
        }
    )


def _layer(name: str, *shape: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def plain(weights: Weights, waveform: Tensor) -> tuple[Tensor, Tensor]:
    """The answer of the authors' code to float32[samples], from published weights, without the network's code."""
    width = len(weights["norm.weight"])
    spectrum = torch.stft(waveform, 512, HOP, window=torch.hann_window(512), return_complex=True, pad_mode="reflect")
    bank = torch.from_numpy(htk_bank(RATE, 512, 64, 0, 8000)).T
    mel = 10 * torch.log10((bank @ spectrum.abs().square()).clamp(min=1e-10))
    mel = mel.clamp(min=float(mel.max()) - 120)
    mean, variance, scale, shift = (
        weights[f"init_bn.1.{name}"][:, None] for name in ("running_mean", "running_var", "weight", "bias")
    )
    mel = (mel - mean) / torch.sqrt(variance + 1e-5) * scale + shift
    patches = F.conv2d(mel[None, None], weights["patch_embed.proj.weight"], weights["patch_embed.proj.bias"], stride=16)
    patches = patches + weights["time_pos_embed"][..., : patches.shape[3]] + weights["freq_pos_embed"]
    x = patches.reshape(1, width, -1).transpose(1, 2)
    for number in range(DEPTH):
        x = _block(weights, f"blocks.{number}")(x)
    x = F.layer_norm(x, (width,), weights["norm.weight"], weights["norm.bias"], 1e-6).mean(1)
    y = F.layer_norm(x, (width,), weights["outputlayer.0.weight"], weights["outputlayer.0.bias"])
    return F.linear(y, weights["outputlayer.1.weight"], weights["outputlayer.1.bias"]).sigmoid()[0], x[0]


def _block(weights: Weights, block: str) -> nn.Module:
    """PyTorch's own layer of a transformer with a block's weights."""
    hidden, width = weights[f"{block}.mlp.fc1.weight"].shape
    layer = nn.TransformerEncoderLayer(
        width, width // 64, hidden, 0, "gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
    )
    names = {
        "self_attn.in_proj_": "attn.qkv.",
        "self_attn.out_proj.": "attn.proj.",
        "linear1.": "mlp.fc1.",
        "linear2.": "mlp.fc2.",
        "norm1.": "norm1.",
        "norm2.": "norm2.",
    }
    layer.load_state_dict(
        {f"{own}{last}": weights[f"{block}.{name}{last}"] for own, name in names.items() for last in ("weight", "bias")}
    )
    return layer.eval()


def clips(count: int, samples: int, salt: int = 1) -> Samples:
    """float32[count, samples]: seeded sounds, the second of them silence, the third with an end far below its peak."""
    sounds = np.stack([clip(salt + row, max(samples, SECOND), RATE)[:samples] for row in range(count)])
    sounds[1:2] = 0
    sounds[2:3, samples // 2 :] *= 1e-6
    return sounds


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a small network, for windows of two seconds and others."""
    path = tmp_path_factory.mktemp("ced") / "small.onnx"
    metadata = metadata_for(
        "small",
        family="ced",
        sample_rate=RATE,
        window=2 * SECOND,
        labels=FAMILY.labels(),
        licence="none",
        source="seeded",
    )
    network = FAMILY.build(published(), 2 * SECOND)
    export_network(network, path, metadata, window=2 * SECOND, shortest=FAMILY.shortest)
    return path


@pytest.mark.parametrize("salt", [1, 2])
@pytest.mark.parametrize("samples", [FAMILY.shortest, 33_333, FAMILY.window, LONGEST * HOP - 1])
def test_answers_are_those_of_the_plain_computation(salt: int, samples: int) -> None:
    """Each row gets the answer that it gets alone, at any length that the position table covers."""
    weights, waveforms = published(salt), torch.from_numpy(clips(3, samples, salt))
    with torch.no_grad():
        probabilities, embedding = FAMILY.build(weights, samples)(waveforms)
        wanted = [plain(weights, row) for row in waveforms]
    assert (probabilities.max(0).values - probabilities.min(0).values).max() > 0.1
    for row, (wanted_probabilities, wanted_embedding) in enumerate(wanted):
        torch.testing.assert_close(probabilities[row], wanted_probabilities, rtol=0, atol=5e-5)
        torch.testing.assert_close(embedding[row], wanted_embedding, rtol=0, atol=5e-4)


@pytest.mark.parametrize("width", [192, 256, 384, 768])
def test_each_published_width_is_read_from_the_checkpoint(width: int) -> None:
    """Tiny, mini, small and base, with fewer blocks: heads of 64 values, and four times as many inside an MLP."""
    weights, waveform = published(1, width, 4 * width), torch.from_numpy(clips(1, SECOND))
    with torch.no_grad():
        answers = FAMILY.build(weights, SECOND)(waveform)
        wanted = plain(weights, waveform[0])
    torch.testing.assert_close(answers[0][0], wanted[0], rtol=0, atol=5e-5)
    torch.testing.assert_close(answers[1][0], wanted[1], rtol=0, atol=5e-4)


def test_the_keys_of_transformers_files_are_read() -> None:
    """They differ from the authors' keys by a prefix, one number, and missing constants."""
    weights = published()
    saved = {
        ("" if key.startswith("outputlayer.") else "encoder.") + key.replace("init_bn.1.", "init_bn."): value
        for key, value in weights.items()
        if not key.startswith("front_end.")
    }
    wanted = FAMILY.build(weights, SECOND).state_dict()
    for key, value in FAMILY.build(saved, SECOND).state_dict().items():
        assert torch.equal(value, wanted[key]), key


def test_a_key_too_few_or_too_many_or_of_another_shape_is_named() -> None:
    """A file without a transformer, and one with heads of another width, are refused as well."""
    weights = published()
    with pytest.raises(ModelError, match=r"lacks norm\.bias and also holds cls_token"):
        FAMILY.build(
            {key: value for key, value in weights.items() if key != "norm.bias"} | {"cls_token": torch.zeros(1)}, SECOND
        )
    with pytest.raises(ModelError, match=r"time_pos_embed is \[1, 128, 1, 31\]"):
        FAMILY.build({**weights, "time_pos_embed": torch.zeros(1, WIDTH, 1, 31)}, SECOND)
    with pytest.raises(ModelError, match="a multiple of 64"):
        FAMILY.build({**weights, "blocks.0.mlp.fc1.weight": torch.zeros(200, 100)}, SECOND)


def test_a_window_longer_than_the_position_table_is_refused() -> None:
    """The error gives the longest window."""
    with pytest.raises(ModelError, match=r"up to 10\.12 s, not 12\.00 s"):
        FAMILY.build(published(), 12 * SECOND)


@pytest.mark.parametrize("samples", [FAMILY.shortest, 2 * SECOND, 33_333, LONGEST * HOP - 1])
def test_a_row_of_a_batch_gets_the_answer_that_it_gets_alone(exported: Path, samples: int) -> None:
    """Each row of the exported file, also a silent one, gets the network's answer for it alone, at any length."""
    session, network = onnxruntime.InferenceSession(exported), FAMILY.build(published(), samples)
    waveforms = clips(5, samples)
    with torch.no_grad():
        alone = torch.cat([network(torch.from_numpy(row[None]))[0] for row in waveforms])
    for batch in (1, 2, 3, 5):
        probabilities = session.run(["probabilities"], {"waveform": waveforms[:batch]})[0]
        np.testing.assert_allclose(probabilities, alone[:batch], rtol=0, atol=5e-5)


def test_int8_takes_one_row_at_a_time_and_keeps_the_front_end_in_float(exported: Path, tmp_path: Path) -> None:
    """Dynamic ranges depend on the input, so rows in one run would affect each other."""
    int8, waveforms = tmp_path / "int8.onnx", clips(5, 2 * SECOND)
    quantize(exported, int8, [], FAMILY.quantization)
    session = NativeModel(int8)
    assert session.card.max_batch == 1
    alone = np.concatenate([session.run(row[None])[0] for row in waveforms])
    np.testing.assert_array_equal(session.run(waveforms)[0], alone)
    assert 0 < compare_models(exported, int8, waveforms).mean < 0.01
    products = [node.name.rsplit(".", 1)[0] for node in onnx.load(int8).graph.node if node.op_type == "MatMul"]
    attention = [f"blocks.{block}.attn" for block in (0, 0, 1, 1)]  # products of activations, which have no weights
    assert sorted(products) == [*attention, *["frontend"] * 2, *["frontend.spectrum"] * 4, "outputlayer.1"]
