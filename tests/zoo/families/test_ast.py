"""AST: its published weights in each layout, its answers, and its model file."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor
from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

from monitor.classify.model import NativeModel
from monitor.errors import ModelError
from monitor.messages import Samples
from monitor.zoo.build.checkpoint import read_checkpoint
from monitor.zoo.build.compare import compare_models
from monitor.zoo.build.export import export_network
from monitor.zoo.build.quantize import quantize
from monitor.zoo.families.ast import FAMILY, RATE, TOKENS, PatchGrid, positions
from monitor.zoo.metadata import metadata_for
from tests.zoo.seeded import clip, state_dict

SECOND = RATE
SMALL = ASTConfig(
    hidden_size=128,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=256,
    num_labels=527,
    attn_implementation="eager",
)
EMPTY_BANDS = pytest.mark.filterwarnings(
    "ignore:At least one mel filter has all zero values"
)  # so in the published one


def official(salt: int, stride: int = 10) -> ASTForAudioClassification:
    """transformers' class, small, with seeded weights; positions matter as much as patches."""
    strides = {"frequency_stride": stride, "time_stride": stride}
    network = ASTForAudioClassification(ASTConfig(**SMALL.to_dict() | strides))
    weights = state_dict({key: tuple(value.shape) for key, value in network.state_dict().items()}, salt)
    table = "audio_spectrogram_transformer.embeddings.position_embeddings"
    network.load_state_dict({**weights, table: 100 * weights[table]})
    return network.eval()


def answers_of(network: ASTForAudioClassification, waveforms: Samples) -> tuple[Tensor, Tensor]:
    """The answers of transformers' class with transformers' front end."""
    features = ASTFeatureExtractor()(list(waveforms), sampling_rate=RATE, return_tensors="pt").input_values
    with torch.no_grad():
        embedding = network.audio_spectrogram_transformer(features).pooler_output
        return network.classifier(embedding).sigmoid(), embedding


def clips(count: int, samples: int, salt: int = 1) -> Samples:
    """float32[count, samples]: seeded sounds that are not centred on zero, the second of them silence."""
    sounds = [clip(salt + row, max(samples, SECOND), RATE) + 0.1 for row in range(count)]
    return np.stack([sound[:samples] * (row != 1) for row, sound in enumerate(sounds)]).astype(np.float32)


def authors(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights under the keys of the authors' file, ImageNet's heads among them."""
    state: dict[str, Tensor] = {
        "module.v.head.weight": torch.zeros(1000, 128),
        "module.v.head_dist.bias": torch.zeros(1),
    }
    names = {
        "embeddings.cls_token": "cls_token",
        "embeddings.distillation_token": "dist_token",
        "embeddings.position_embeddings": "pos_embed",
        "embeddings.patch_embeddings.projection": "patch_embed.proj",
        "layernorm": "norm",
    }
    for key, value in weights.items():
        layer, _, last = key.removeprefix("audio_spectrogram_transformer.").rpartition(".")
        if layer.startswith("classifier."):
            state[f"module.mlp_head.{'01'[layer == 'classifier.dense']}.{last}"] = value
        elif layer == "embeddings":
            state[f"module.v.{names[f'{layer}.{last}']}"] = value
        elif layer in names:
            state[f"module.v.{names[layer]}.{last}"] = value
        elif layer.endswith(".q_proj"):
            block = layer.split(".")[1]
            joint = torch.cat([weights[key.replace("q_proj", f"{part}_proj")] for part in "qkv"])
            state[f"module.v.blocks.{block}.attn.qkv.{last}"] = joint
        elif not layer.endswith(("k_proj", "v_proj")):
            inner = {"attention.o_proj": "attn.proj", "layernorm_before": "norm1", "layernorm_after": "norm2"}
            _, block, part = layer.split(".", 2)
            state[f"module.v.blocks.{block}.{inner.get(part, part)}.{last}"] = value
    return state


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a small network for windows of a second."""
    path = tmp_path_factory.mktemp("ast") / "small.onnx"
    metadata = metadata_for(
        "small",
        family="ast",
        sample_rate=RATE,
        window=SECOND,
        labels=FAMILY.labels(),
        licence="none",
        source="seeded",
    )
    export_network(FAMILY.build(official(1).state_dict(), SECOND), path, metadata, window=SECOND)
    return path


@EMPTY_BANDS
@pytest.mark.parametrize(
    ("salt", "stride", "patches"), [(1, 10, 1212), (2, 10, 1212), (1, 12, 850), (1, 14, 657), (1, 16, 512)]
)
def test_answers_are_those_of_transformers(salt: int, stride: int, patches: int) -> None:
    """The front end is included, at the published length, with sounds that lead to different answers.

    The stride follows from the number of patches; all but 10 have a last patch that reaches into the padding.
    """
    network, waveforms = official(salt, stride), clips(2, FAMILY.window, salt)
    table = network.audio_spectrogram_transformer.embeddings.position_embeddings
    assert table.shape == (1, TOKENS + patches, 128)
    wanted = answers_of(network, waveforms)
    with torch.no_grad():
        answers = FAMILY.build(network.state_dict(), FAMILY.window)(torch.from_numpy(waveforms))
    assert (wanted[0].max(0).values - wanted[0].min(0).values).max() > 0.1
    torch.testing.assert_close(answers[0], wanted[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(answers[1], wanted[1], rtol=0, atol=1e-4)


def test_every_published_layout_is_read(tmp_path: Path) -> None:
    """transformers' files, whose keys are older than its classes, and the authors' file are read."""
    network = official(1)
    network.save_pretrained(tmp_path)
    torch.save(authors(network.state_dict()), tmp_path / "authors.pth")
    saved = read_checkpoint(tmp_path / "model.safetensors")
    assert any("encoder.layer.1.attention.attention.key" in key for key in saved)
    wanted = FAMILY.build(network.state_dict(), SECOND).state_dict()
    for state in (saved, read_checkpoint(tmp_path / "authors.pth")):
        for key, value in FAMILY.build(state, SECOND).state_dict().items():
            assert torch.equal(value, wanted[key]), key


def test_a_key_too_few_or_too_many_or_of_another_shape_is_named() -> None:
    """A head for other classes and a file without a transformer are refused as well."""
    state = official(1).state_dict()
    norm = "audio_spectrogram_transformer.layernorm.bias"
    with pytest.raises(ModelError, match=r"lacks norm\.bias and also holds extra\.weight"):
        FAMILY.build(
            {key: value for key, value in state.items() if key != norm} | {"extra.weight": torch.zeros(1)}, SECOND
        )
    with pytest.raises(ModelError, match=r"mlp_head\.1\.bias is \[50\], not \[527\]"):
        FAMILY.build({**state, "classifier.dense.bias": torch.zeros(50)}, SECOND)
    with pytest.raises(ModelError, match="contains no known transformer"):
        FAMILY.build({"conv.weight": torch.zeros(8, 1, 3, 3)}, SECOND)


def test_a_position_table_is_cut_from_the_middle_or_stretched() -> None:
    """The authors' rule for windows of other lengths; the tokens' own rows stay."""
    full = PatchGrid(10)
    rows, most = full.rows, full.columns
    assert (rows, most) == (12, 101)
    grid = torch.arange(rows)[:, None] * 1000.0 + torch.arange(most)
    table = torch.cat((torch.tensor([-1.0, -2.0]), grid.flatten()))[None, :, None]
    assert torch.equal(positions(table, full, most), table)
    for columns in (1, 18, 99):
        cut = positions(table, full, columns)[0, :, 0]
        start = 50 - columns // 2
        assert cut[:TOKENS].tolist() == [-1, -2]
        assert torch.equal(cut[TOKENS:].reshape(rows, columns), grid[:, start : start + columns])
    stretched = positions(table, full, 2 * most)[0, TOKENS:, 0].reshape(rows, 2 * most)
    torch.testing.assert_close(stretched[3, 1:-1:2], grid[3, :-1] + 0.25)


@pytest.mark.parametrize("samples", [FAMILY.shortest, SECOND, FAMILY.window + SECOND])
def test_other_lengths_are_answered(samples: int) -> None:
    """The network answers from one column of patches up, and beyond the published length."""
    with torch.no_grad():
        probabilities, embedding = FAMILY.build(official(1).state_dict(), samples)(torch.from_numpy(clips(2, samples)))
    assert (probabilities.shape, embedding.shape) == ((2, 527), (2, 128))
    assert probabilities.isfinite().all()


def test_a_row_of_a_batch_gets_the_answer_that_it_gets_alone(exported: Path) -> None:
    """Each row of the exported file, also a silent one, gets the network's answer for it alone."""
    session, network = NativeModel(exported), FAMILY.build(official(1).state_dict(), SECOND)
    waveforms = clips(5, SECOND)
    with torch.no_grad():
        alone = torch.cat([network(torch.from_numpy(row[None]))[0] for row in waveforms])
    for batch in (1, 2, 3, 5):
        np.testing.assert_allclose(session.run(waveforms[:batch])[0], alone[:batch], rtol=0, atol=1e-5)


def test_int8_takes_one_row_at_a_time_and_keeps_the_front_end_in_float(exported: Path, tmp_path: Path) -> None:
    """Dynamic ranges depend on the input, so rows in one run would affect each other."""
    int8, waveforms = tmp_path / "int8.onnx", clips(5, SECOND)
    quantize(exported, int8, [], FAMILY.quantization)
    session = NativeModel(int8)
    assert session.card.max_batch == 1
    alone = np.concatenate([session.run(row[None])[0] for row in waveforms])
    np.testing.assert_array_equal(session.run(waveforms)[0], alone)
    assert 0 < compare_models(exported, int8, waveforms).mean < 0.01
    products = [node.name.rsplit(".", 1)[0] for node in onnx.load(int8).graph.node if node.op_type == "MatMul"]
    attention = [f"blocks.{block}.attn" for block in (0, 0, 1, 1)]  # products of activations, which have no weights
    assert sorted(products) == [*attention, "frontend", "frontend.spectrum", "frontend.spectrum", "mlp_head.1"]
