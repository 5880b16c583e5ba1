"""A model file answers as the calibrated network does, says what it is, and its int8 form is near and small."""

import importlib
import json
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from monitor.classify.card import read_card
from monitor.errors import ModelError
from monitor.zoo.metadata import Quantization, as_metadata

torch = pytest.importorskip("torch", reason="the training recipe needs torch; the bundled model does not")
onnx = pytest.importorskip("onnx", reason="exporting needs onnx")
pytest.importorskip("onnxscript", reason="exporting needs onnxscript")
onnxruntime = pytest.importorskip("onnxruntime", reason="checking an export needs onnxruntime")
pytest.importorskip("soundfile", reason="the training recipe needs soundfile")
pytest.importorskip("ai_edge_litert", reason="the training recipe needs ai-edge-litert")
deliver = importlib.import_module("models.train.deliver")
calibrate = importlib.import_module("models.train.learning.calibrate")
convnext = importlib.import_module("models.train.networks.convnext")
EVENT_NAMES = importlib.import_module("models.train.data.events").EVENT_NAMES
RECIPES = importlib.import_module("models.train.networks.catalogue").RECIPES

LABELS = [f"sound {number}" for number in range(521)]


def sounds(count: int) -> Any:
    """Noises and tones at different levels, float32 [count, 15600]."""
    rng = np.random.default_rng(4)
    tones = np.sin(np.geomspace(0.05, 2.0, count)[:, None] * np.arange(15_600))
    levels = np.geomspace(0.01, 0.3, count)[:, None]
    return (levels * (tones + 0.5 * rng.standard_normal((count, 15_600)))).astype(np.float32)


def network(made: Any) -> Any:
    """Seeded random weights, no bias at zero, and statistics as if learnt; what it says spreads from 0 to 1."""
    torch.manual_seed(2)
    for name, tensor in [*made.named_parameters(), *made.named_buffers()]:
        if "running" in name or (name.endswith("bias") and not name.startswith(("heads", "wave"))):
            tensor.data.uniform_(0.5, 1.5)
    made.heads.classes.weight.data.mul_(4.0)
    made.heads.classes.bias.data.uniform_(-3.0, 3.0)
    return made.eval()


def calibrations() -> dict[str, Any]:
    rng = np.random.default_rng(3)
    return {
        name: calibrate.Calibration(rng.uniform(-1, 1, count).astype(np.float32))
        for name, count in (("classes", 521), ("events", len(EVENT_NAMES)))
    }


def run(path: Path, waveforms: Any) -> tuple[Any, Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    probabilities, embedding = session.run(["probabilities", "embedding"], {"waveform": waveforms})
    return probabilities, embedding


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, corpus: Any) -> Any:
    """LEAN with random weights: the network, and its two files."""
    folder = tmp_path_factory.mktemp("delivered")
    (folder / "teacher").mkdir()
    for teacher in deliver.TEACHERS:
        (folder / "teacher" / teacher).write_bytes(b"a teacher")
    checkpoint = {"plan": {"batch": 512, "rate": 2e-3, "seed": 7}, "step": 3_000, "windows": 4_096}
    recipe, lean = RECIPES["lean"], network(RECIPES["lean"].make())
    metadata = deliver.describe(
        "lean", recipe, LABELS, corpus, folder, checkpoint, calibrations(), {"esc50": {"esc50_events": 0.9}}
    )
    delivered = deliver.Delivered(lean, *calibrations().values())
    difference, small = deliver.write(delivered, folder / "lean.onnx", metadata, sounds(24))
    return SimpleNamespace(network=lean, path=folder / "lean.onnx", small=small, difference=difference)


def test_the_file_answers_as_the_network_does_after_calibration(made: Any) -> None:
    waveforms = sounds(5)
    probabilities, embedding = run(made.path, waveforms)
    with torch.inference_mode():
        classes, events, wanted = (answer.numpy() for answer in made.network(torch.from_numpy(waveforms)))
    found = calibrations()
    logits = np.concatenate((found["classes"].apply(classes), found["events"].apply(events)), axis=1)
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-logits)), atol=1e-5)
    np.testing.assert_allclose(embedding, wanted, atol=1e-5 * np.abs(wanted).max())
    assert made.difference <= 1e-5
    assert np.ptp(probabilities) > 0.9  # else the comparison would say nothing


def test_to_deliver_leaves_the_network_as_it_is() -> None:
    branch = network(RECIPES["branch"].make())
    before = branch.heads.classes.weight.clone()
    deliver.Delivered(branch, *calibrations().values())
    torch.testing.assert_close(branch.heads.classes.weight, before)


def test_the_file_tells_all_about_itself(made: Any) -> None:
    metadata = {entry.key: entry.value for entry in onnx.load(made.path).metadata_props}
    card = read_card(made.path, metadata)
    assert (card.name, card.family, card.sample_rate, card.window) == ("lean", "lean", 16_000, 15_600)
    assert card.labels == (*LABELS, *EVENT_NAMES)
    assert "not a life-safety device" in card.description.lower()
    training = json.loads(metadata["training"])
    assert {
        "teacher": "YAMNet, TFLite; EfficientAT mn04", "data_sha256": "digest", "pool_windows": 4_096,
        "steps": 3_000, "batch": 512, "seed": 7,
        "audio_seconds": 15.4, "figures": {"esc50": {"esc50_events": 0.9}},
    }.items() <= training.items()  # fmt: skip
    assert len(training["teacher_sha256"]) == 2
    assert len(training["calibration"]["classes"]) == 521
    assert training["packages"]["torch"] == version("torch")
    assert str(Path(__file__).parents[2]).encode() not in made.path.read_bytes()


def test_the_int8_file_is_a_third_as_large_and_says_nearly_the_same(made: Any) -> None:
    assert made.small.name == "lean-int8.onnx"
    assert made.small.stat().st_size < 0.4 * made.path.stat().st_size
    waveforms = sounds(24)
    wanted, given = run(made.path, waveforms)[0], run(made.small, waveforms)[0]
    assert np.abs(wanted - given).max() < 0.1
    assert np.corrcoef(wanted.ravel(), given.ravel())[0, 1] > 0.999
    metadata = {entry.key: entry.value for entry in onnx.load(made.small).metadata_props}
    assert metadata["name"] == "lean-int8"


def test_in_int8_a_row_is_bit_equal_to_what_it_is_alone(made: Any) -> None:
    waveforms = sounds(5)
    waveforms[3] = 0.0
    together = run(made.small, waveforms)
    for row in range(5):
        alone = run(made.small, waveforms[row : row + 1])
        np.testing.assert_array_equal(together[0][row : row + 1], alone[0])
        np.testing.assert_array_equal(together[1][row : row + 1], alone[1])


def test_what_hears_the_waveform_stays_float(made: Any) -> None:
    """Eight bits hold neither the powers that the logarithm spans nor a quiet waveform."""
    graph = onnx.load(made.small).graph
    float_of = {tensor.name: tensor.data_type == onnx.TensorProto.FLOAT for tensor in graph.initializer if tensor.dims}
    assert sum(name.startswith("network.frontend.") for name in float_of) == 8
    for name, is_float in float_of.items():
        if name.startswith(("network.frontend.", "network.wave.", "network.realign.", "network.branch.stem.")):
            assert is_float, name
    makers = {name: node for node in graph.node for name in node.output}
    stem = next(node for node in graph.node if node.op_type == "Conv")
    behind = [stem]
    for node in behind:
        assert "Quantize" not in node.op_type
        behind += [makers[name] for name in node.input if name in makers]
    assert len({node.name for node in behind if node.op_type == "MatMul"}) == 6


def test_the_graph_keeps_to_plain_operators_and_asks_for_no_shape(made: Any) -> None:
    operators = {node.op_type for node in onnx.load(made.path).graph.node}
    assert not operators & {"STFT", "DFT", "GatherND", "Im2Col", "Loop", "If", "Shape", "Expand", "ConstantOfShape"}
    assert "LSTM" in operators


def test_a_channel_scale_is_in_the_weights_and_int8_runs_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ConvNeXt of two blocks: no multiplication stands between a convolution and the addition behind it."""
    monkeypatch.setattr(convnext, "STEM", (8, 8, 8))
    monkeypatch.setattr(convnext, "DEPTHS", (1, 1))
    monkeypatch.setattr(convnext, "WIDTHS", (8, 16))
    recipe = RECIPES["convnext"]
    small_net = network(recipe.make())
    for name, parameter in small_net.named_parameters():
        if name.endswith("scale"):
            parameter.data.uniform_(0.1, 2.0)
    delivered = deliver.Delivered(small_net, *calibrations().values())
    metadata = {"format": "1", "name": "small"} | as_metadata(Quantization(keep=(deliver.FRONT_END, *recipe.keep)))
    difference, small = deliver.write(delivered, tmp_path / "small.onnx", metadata, sounds(8))
    assert difference <= 1e-5
    graph = onnx.load(small).graph
    assert not [node.name for node in graph.node if node.op_type == "Mul" and "frontend" not in node.name]
    int8 = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    additions = [node for node in graph.node if node.op_type == "Add" and "blocks" in node.name]
    assert len(additions) == 2
    assert all(int8.issuperset(node.input) for node in additions)


def test_an_answer_that_differs_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver.Expected, "difference", lambda *_: 2e-5)
    monkeypatch.setattr(deliver, "to_onnx", lambda *_: tiny_graph())
    path = tmp_path / "bad.onnx"
    path.write_bytes(b"the old one")
    delivered = deliver.Delivered(RECIPES["branch"].make(), *calibrations().values())
    with pytest.raises(ModelError, match=r"answers differ from the network by 2\.0e-05"):
        deliver.write(delivered, path, {"format": "1"}, sounds(1))
    assert path.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [path]


def tiny_graph() -> Any:
    """A graph that is valid, and nothing more."""
    kind = onnx.TensorProto.FLOAT
    values = [onnx.helper.make_tensor_value_info(name, kind, ["batch", 2]) for name in ("waveform", "probabilities")]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["waveform"], ["probabilities"])], "tiny", values[:1], values[1:]
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
