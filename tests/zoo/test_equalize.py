"""Cross-layer equalisation leaves the function as it is and brings the channels together."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from monitor.messages import Samples
from monitor.zoo.equalize import Pair, equalize, pairs
from tests.zoo.small_graph import save, small_model, sounds


def spans(model: onnx.ModelProto, name: str) -> Samples:
    """Largest weight of each output channel."""
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    weights: Samples = np.abs(numpy_helper.to_array(tensor)).reshape(tensor.dims[0], -1).max(axis=1)
    return weights


def test_pairs() -> None:
    """Convolutions in a row are pairs; one that a residual or a clip follows is not."""
    found = list(pairs(small_model().graph))

    assert found == [
        Pair("stem.weight", "stem.bias", "deep.weight", depthwise=True),
        Pair("deep.weight", "deep.bias", "point.weight", depthwise=False),
    ]


def test_same_answers(tmp_path: Path) -> None:
    """The equalised model answers as before."""
    model = small_model(spread=100)
    before = onnxruntime.InferenceSession(save(model, tmp_path)).run(None, {"waveform": sounds(8)})
    equalize(model)
    after = onnxruntime.InferenceSession(save(model, tmp_path)).run(None, {"waveform": sounds(8)})

    for wanted, given in zip(before, after, strict=True):
        np.testing.assert_allclose(given, wanted, rtol=1e-4, atol=1e-5)


def test_channels_come_together() -> None:
    """Weights of channels that were a hundred times apart are near each other."""
    model = small_model(spread=100)
    apart = np.ptp(np.log10(spans(model, "deep.weight")))
    equalize(model)

    assert apart > 1.5
    assert np.ptp(np.log10(spans(model, "deep.weight"))) < 0.8


def test_dead_channel() -> None:
    """A channel whose weights are all zero stays as it is."""
    model = small_model()
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "deep.weight")
    weights = np.array(numpy_helper.to_array(tensor))
    weights[3] = 0
    tensor.CopyFrom(numpy_helper.from_array(weights, "deep.weight"))
    equalize(model)

    assert all(np.isfinite(numpy_helper.to_array(tensor)).all() for tensor in model.graph.initializer)
    assert spans(model, "deep.weight")[3] == 0


def test_output_is_no_channel_to_scale() -> None:
    """A tensor that is also an output of the model keeps its scale."""
    model = small_model()
    model.graph.output.append(onnx.helper.make_tensor_value_info("stem_relu", onnx.TensorProto.FLOAT, None))

    assert [pair.weight for pair in pairs(model.graph)] == ["deep.weight"]
