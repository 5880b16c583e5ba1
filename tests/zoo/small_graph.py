"""A small classifier as an ONNX graph, with a front end, separable convolutions and a residual, to quantise."""

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper, parser

from monitor.messages import Samples

WINDOW = 640
CLASSES = 6
METADATA = {"format": "1", "name": "small", "licence": "none"}
TEXT = """
<ir_version: 10, opset_import: ["" : 20]>
small (float[n, 640] waveform) => (float[n, 6] probabilities, float[n, 8] embedding)
<int64[4] image = {-1, 1, 16, 40}, float floor = {0.001}, float zero = {0.0}, float six = {6.0}>
{
    frames = Reshape (waveform, image)
    bands = MatMul (frames, frontend__basis)
    power = Mul (bands, bands)
    raised = Add (power, floor)
    mel = Log (raised)
    stem = Conv <pads: ints = [1, 1, 1, 1]> (mel, stem__weight, stem__bias)
    stem_relu = Relu (stem)
    deep = Conv <group = 8, pads: ints = [1, 1, 1, 1]> (stem_relu, deep__weight, deep__bias)
    deep_relu = Relu (deep)
    point = Conv (deep_relu, point__weight, point__bias)
    point_relu = Relu (point)
    left = Conv (point_relu, left__weight, left__bias)
    left_clip = Clip (left, zero, six)
    sum = Add (point_relu, left_clip)
    pooled = GlobalAveragePool (sum)
    embedding = Flatten (pooled)
    logits = Gemm (embedding, head__weight, head__bias)
    probabilities = Sigmoid (logits)
}
"""
SHAPES = {
    "frontend.basis": (40, 12),
    "stem.weight": (8, 1, 3, 3),
    "deep.weight": (8, 1, 3, 3),
    "point.weight": (8, 8, 1, 1),
    "left.weight": (8, 8, 1, 1),
    "head.weight": (8, CLASSES),
}


def small_model(spread: float = 1.0) -> onnx.ModelProto:
    """The classifier with seeded weights; the scales of the channels between convolutions differ by up to `spread`."""
    rng = np.random.default_rng(0)
    model = parser.parse_model(TEXT)
    for node in model.graph.node:
        node.name = f"node_{node.output[0]}"
        node.input[:] = [name.replace("__", ".") for name in node.input]  # the parser takes no dots
    for name, shape in SHAPES.items():
        weight = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        bias = rng.normal(0, 0.1, CLASSES if name == "head.weight" else 8)
        if name in ("stem.weight", "deep.weight"):
            scale = np.geomspace(1, spread, 8)
            bias, weight = bias * scale, weight * scale[:, None, None, None]
        if name == "point.weight":
            weight = weight / np.geomspace(1, spread, 8)[:, None, None] ** 2
        if name == "head.weight":
            weight *= 4
        _add(model, name, weight)
        if name != "frontend.basis":
            _add(model, name.replace("weight", "bias"), bias)
    onnx.helper.set_model_props(model, METADATA)
    onnx.checker.check_model(model, full_check=True)
    return model


def save(model: onnx.ModelProto, folder: Path) -> Path:
    """The model as a file."""
    path = folder / "small.onnx"
    onnx.save_model(model, path)
    return path


def sounds(count: int, seed: int = 1) -> Samples:
    """Noise of very different loudness, float32[count, WINDOW]."""
    rng = np.random.default_rng(seed)
    return (rng.uniform(-1, 1, (count, WINDOW)) * np.geomspace(0.01, 1, count)[:, None]).astype(np.float32)


def _add(model: onnx.ModelProto, name: str, values: np.typing.NDArray[np.float64]) -> None:
    model.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
