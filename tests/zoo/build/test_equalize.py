"""Cross-layer equalisation keeps the function and evens out the channels."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from monitor.messages import Samples
from monitor.zoo.build.equalize import Pair, equalize, pairs
from tests.zoo.small_graph import save, small_model, sounds

PEAKS = {name: np.geomspace(0.01, 1, 8).astype(np.float32) for name in ("stem_relu", "deep_relu")}
"""Of the channels between convolutions: some are a hundred times louder than others."""


def tensor(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    """The constant of this name."""
    found: onnx.TensorProto = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    return found


def spans(model: onnx.ModelProto, name: str) -> Samples:
    """Largest weight of each output channel."""
    weights = numpy_helper.to_array(tensor(model, name))
    largest: Samples = np.abs(weights).reshape(len(weights), -1).max(axis=1)
    return largest


def test_pairs() -> None:
    """Consecutive convolutions are pairs; one that a residual or a clip follows is not."""
    found = list(pairs(small_model().graph))

    assert found == [
        Pair("stem.weight", "stem.bias", "stem_relu", "deep.weight", depthwise=True),
        Pair("deep.weight", "deep.bias", "deep_relu", "point.weight", depthwise=False),
    ]


def test_same_answers(tmp_path: Path) -> None:
    """The equalised model answers as before."""
    model = small_model(spread=100)
    before = onnxruntime.InferenceSession(save(model, tmp_path)).run(None, {"waveform": sounds(8)})
    equalize(model, PEAKS)
    after = onnxruntime.InferenceSession(save(model, tmp_path)).run(None, {"waveform": sounds(8)})

    for wanted, given in zip(before, after, strict=True):
        np.testing.assert_allclose(given, wanted, rtol=1e-4, atol=1e-5)


def test_all_channels_before_a_depthwise_convolution_peak_alike() -> None:
    """A channel that was a hundred times quieter becomes a hundred times louder, and the next filter smaller."""
    model = small_model()
    before = {name: spans(model, name) for name in ("stem.weight", "stem.bias", "deep.weight")}
    equalize(model, PEAKS | {"deep_relu": np.ones(8, np.float32)})
    stem, bias, deep = (spans(model, name) / span for name, span in before.items())

    np.testing.assert_allclose(stem * PEAKS["stem_relu"], (stem * PEAKS["stem_relu"])[0], rtol=1e-5)
    np.testing.assert_allclose(bias, stem, rtol=1e-5)
    assert np.ptp(np.log10(deep)) > 1


def test_mixed_channels_meet_half_way() -> None:
    """If the next convolution mixes channels, its weights take half of the difference."""
    model = small_model()
    even = np.tile(np.array([1, -1, 1, -1, 1, 1, 1, 1], np.float32), (8, 1))[..., None, None]
    tensor(model, "point.weight").CopyFrom(numpy_helper.from_array(even, "point.weight"))
    equalize(model, PEAKS | {"stem_relu": np.ones(8, np.float32)})
    shares = np.abs(numpy_helper.to_array(tensor(model, "point.weight")))[0, :, 0, 0]

    np.testing.assert_allclose(shares / shares[-1], np.sqrt(np.geomspace(0.01, 1, 8)), rtol=1e-5)


@pytest.mark.parametrize("peaks", [np.zeros(8), np.append(np.ones(7), 0)], ids=["all", "one"])
def test_dead_channels(peaks: Samples, tmp_path: Path) -> None:
    """Dead channels with weights of zero give finite numbers and the same answers."""
    model = small_model()
    weights = np.array(numpy_helper.to_array(tensor(model, "point.weight")))
    weights[:, 7] = 0
    tensor(model, "point.weight").CopyFrom(numpy_helper.from_array(weights, "point.weight"))
    before = onnxruntime.InferenceSession(save(model, tmp_path)).run(None, {"waveform": sounds(8)})
    equalize(model, {name: peaks.astype(np.float32) for name in PEAKS})
    after = onnxruntime.InferenceSession(save(model, tmp_path)).run(None, {"waveform": sounds(8)})

    np.testing.assert_allclose(after[0], before[0], rtol=1e-4, atol=1e-5)


def test_output_is_no_channel_to_scale() -> None:
    """A tensor that is also an output of the model keeps its scale."""
    model = small_model()
    model.graph.output.append(onnx.helper.make_tensor_value_info("stem_relu", onnx.TensorProto.FLOAT, None))

    assert [pair.weight for pair in pairs(model.graph)] == ["deep.weight"]
