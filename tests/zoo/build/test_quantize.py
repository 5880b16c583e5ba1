"""Int8 models: their content, their answers, and models that cannot be quantised."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from monitor.errors import ModelError
from monitor.messages import Samples
from monitor.zoo.build.compare import Drift, compare_models
from monitor.zoo.build.quantize import quantize
from monitor.zoo.metadata import Quantization
from tests.zoo.small_graph import METADATA, WINDOW, save, small_model, sounds

STATIC = Quantization("static")
DYNAMIC = Quantization("dynamic")


def run(path: Path, waveforms: Samples) -> tuple[Samples, Samples]:
    """Probabilities and embeddings."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    probabilities, embeddings = onnxruntime.InferenceSession(path, options).run(None, {"waveform": waveforms})
    return probabilities, embeddings


def drift(float_path: Path, int8_path: Path, waveforms: Samples) -> Drift:
    """How far the scores of the second model are from the first one's."""
    found = compare_models(float_path, int8_path, waveforms)
    assert isinstance(found, Drift)
    return found


def operators(path: Path) -> list[str]:
    """Names of the operators, in order."""
    return [node.op_type for node in onnx.load(path).graph.node]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """The float model."""
    return save(small_model(), tmp_path)


@pytest.fixture
def int8(small: Path) -> Path:
    """The same in static int8."""
    target = small.with_name("int8.onnx")
    quantize(small, target, sounds(16), STATIC)
    return target


def test_answers_stay_near(small: Path, int8: Path) -> None:
    """A static int8 model answers as the float model does except for rounding."""
    found = drift(small, int8, sounds(32, seed=2))

    assert 0 < found.mean <= found.largest < 0.05
    assert found.windows == 32
    assert found.top1 > 0.9


def test_front_end_is_float(int8: Path) -> None:
    """Nothing before the first convolution is rounded."""
    steps = [name for name in operators(int8) if name != "DequantizeLinear"]

    assert steps[: steps.index("QuantizeLinear")] == ["Reshape", "MatMul", "Mul", "Add", "Log"]


def test_activations_are_inside(int8: Path) -> None:
    """ReLUs and clips are part of the convolutions before them, and a residual is added in int8."""
    names = operators(int8)

    assert "Relu" not in names
    assert "Clip" not in names
    assert names[names.index("Add", names.index("QuantizeLinear")) + 1] == "QuantizeLinear"


def test_logits_are_not_rounded(int8: Path) -> None:
    """The head's answers reach the sigmoid in float."""
    names = operators(int8)

    assert names[names.index("Gemm") + 1] == "Sigmoid"


def test_weights_are_signed_by_channel(int8: Path) -> None:
    """Convolution weights are int8 with a scale for each channel, activations uint8 with one scale."""
    tensors = {tensor.name: tensor for tensor in onnx.load(int8).graph.initializer}

    assert tensors["stem.weight_quantized"].data_type == onnx.TensorProto.INT8
    assert list(tensors["stem.weight_scale"].dims) == [8]
    assert tensors["stem_relu_zero_point"].data_type == onnx.TensorProto.UINT8
    assert list(tensors["stem_relu_scale"].dims) == []


def test_rows_do_not_depend_on_their_batch(int8: Path) -> None:
    """Each row of a batch of a static model gets exactly the answer that it gets alone."""
    waveforms = np.concatenate([sounds(4), np.zeros((1, WINDOW), np.float32)])
    alone = [run(int8, row[None]) for row in waveforms]

    for size in (2, 3, 5):
        probabilities, embeddings = run(int8, waveforms[:size][::-1].copy())
        for row in range(size):
            np.testing.assert_array_equal(probabilities[size - 1 - row], alone[row][0][0])
            np.testing.assert_array_equal(embeddings[size - 1 - row], alone[row][1][0])


def test_embedding_is_not_rounded(int8: Path) -> None:
    """The embedding keeps float's resolution although the head reads it in int8."""
    _, embeddings = run(int8, sounds(200))

    assert len(np.unique(embeddings)) > 1000


def test_metadata_is_kept(small: Path, int8: Path) -> None:
    """The file keeps its metadata, with int8 in its name."""
    assert {entry.key: entry.value for entry in onnx.load(int8).metadata_props} == METADATA | {"name": "small-int8"}


def test_quiet_windows_change_nothing(small: Path, int8: Path, tmp_path: Path) -> None:
    """Silence among the calibration sounds does not widen a range."""
    quantize(small, tmp_path / "padded.onnx", [np.zeros(WINDOW, np.float32), *sounds(16)], STATIC)

    assert (tmp_path / "padded.onnx").read_bytes() == int8.read_bytes()


def test_modules_stay_float(small: Path, tmp_path: Path) -> None:
    """A module that the family names keeps its float weights."""
    quantize(small, tmp_path / "kept.onnx", sounds(4), Quantization(keep=("point", "head")))
    tensors = {tensor.name for tensor in onnx.load(tmp_path / "kept.onnx").graph.initializer}

    assert {"point.weight", "head.weight", "stem.weight_quantized"} <= tensors


def test_equalised(tmp_path: Path) -> None:
    """Very different channels ruin static int8 unless they are equalised first."""
    small = save(small_model(spread=100), tmp_path)
    found = []
    for equalise in (False, True):
        quantize(small, tmp_path / "int8.onnx", sounds(16), Quantization(equalise=equalise))
        found.append(drift(small, tmp_path / "int8.onnx", sounds(32, seed=2)).largest)

    assert found[0] > 0.3
    assert found[1] < 0.05


def test_dynamic(tmp_path: Path) -> None:
    """Dynamic int8 covers matrix products, requires no sound, and limits a batch to one window."""
    model = small_model()
    matrix = onnx.helper.make_node("MatMul", ["embedding", "square"], ["turned"], "node_turned")
    weight = np.random.default_rng(3).normal(size=(8, 8)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "square"))
    place = next(i for i, node in enumerate(model.graph.node) if node.op_type == "Gemm")
    model.graph.node[place].input[0] = "turned"
    model.graph.node.insert(place, matrix)
    small = save(model, tmp_path)
    target = tmp_path / "int8.onnx"
    quantize(small, target, (), DYNAMIC)

    tensors = {tensor.name for tensor in onnx.load(target).graph.initializer}
    assert operators(target).count("MatMulInteger") == 1
    assert {"square_quantized", "frontend.basis", "stem.weight"} <= tensors
    assert {entry.key: entry.value for entry in onnx.load(target).metadata_props}["max_batch"] == "1"
    assert 0 < drift(small, target, sounds(16)).largest < 0.05


@pytest.mark.parametrize("waveforms", [[], np.zeros((3, WINDOW), np.float32)], ids=["none", "silent"])
def test_no_sound(small: Path, waveforms: list[Samples], tmp_path: Path) -> None:
    """Static int8 without a sound to calibrate on is refused, and no file is left."""
    with pytest.raises(ModelError, match="no sound to calibrate on"):
        quantize(small, tmp_path / "int8.onnx", waveforms, STATIC)

    assert list(tmp_path.iterdir()) == [small]


def test_window_of_another_size(small: Path, tmp_path: Path) -> None:
    """Sounds of another size than the model's window are refused with both sizes."""
    with pytest.raises(ModelError, match="windows of 640 samples, not 100"):
        quantize(small, tmp_path / "int8.onnx", [np.ones(100, np.float32)], STATIC)


def test_quantised_already(int8: Path, tmp_path: Path) -> None:
    """An int8 model is not quantised again."""
    with pytest.raises(ModelError, match="quantised already"):
        quantize(int8, tmp_path / "twice.onnx", sounds(4), STATIC)


def test_half_precision(tmp_path: Path) -> None:
    """A half-precision model is refused."""
    model = small_model()
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.ones((40, 12), np.float16), "frontend.basis"))

    with pytest.raises(ModelError, match="half precision"):
        quantize(save(model, tmp_path), tmp_path / "int8.onnx", sounds(4), STATIC)


def test_outside_weights(tmp_path: Path) -> None:
    """A file with weights in another file is refused, and the other file is not read."""
    model = small_model()
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == "stem.weight")
    onnx.external_data_helper.set_external_data(weight, "/etc/hostname")
    weight.ClearField("raw_data")

    with pytest.raises(ModelError, match="outside its file"):
        quantize(save(model, tmp_path), tmp_path / "int8.onnx", sounds(4), STATIC)


def test_nothing_to_quantise(small: Path, tmp_path: Path) -> None:
    """A model whose layers all stay float is refused."""
    every = ("stem", "deep", "point", "left", "head")
    with pytest.raises(ModelError, match="nothing to quantise"):
        quantize(small, tmp_path / "int8.onnx", sounds(4), Quantization(keep=every))


@pytest.mark.parametrize("content", [b"", b"not a model"])
def test_not_a_model(content: bytes, tmp_path: Path) -> None:
    """A file that is not a model is refused."""
    path = tmp_path / "junk.onnx"
    path.write_bytes(content)

    with pytest.raises(ModelError, match=r"junk\.onnx"):
        quantize(path, tmp_path / "int8.onnx", sounds(4), STATIC)


def test_no_file(tmp_path: Path) -> None:
    """A missing file is named."""
    with pytest.raises(ModelError, match="does not exist"):
        quantize(tmp_path / "absent.onnx", tmp_path / "int8.onnx", sounds(4), STATIC)
