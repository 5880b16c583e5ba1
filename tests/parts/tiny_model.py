"""A model of 1 kB that detects loudness: a real file for ONNX Runtime, built without training."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper, save_model

RATE = 16_000
MIDDLE = 10**-3.5
"""The power at which both classes are at 0.5: -35 dBFS."""


def write_tiny_model(
    path: Path,
    *,
    window: int = 15_600,
    labels: Sequence[str] = ("Loud", "Quiet"),
    **metadata_overrides: str | None,
) -> Path:
    """Write a model of two classes for 16 kHz to `path`; return the path.

    The first class is at 0.99 if the loudest 0.1 s of the window has an RMS of -20 dBFS, and at 0.01 if it has
    -50 dBFS; the second is 1 minus the first. The embedding is the highest and the mean power, the mean, and the peak.
    `metadata_overrides` replaces entries of the metadata; None removes one.
    """
    metadata: dict[str, str | None] = {
        "format": "1",
        "name": path.stem,
        "family": "tiny",
        "sample_rate": str(RATE),
        "window": str(window),
        "labels": json.dumps(list(labels)),
        "licence": "CC0-1.0",
        "source": "the tests",
        "description": "tells loud from quiet",
    }
    metadata |= metadata_overrides
    model = _graph(window)
    helper.set_model_props(model, {key: value for key, value in metadata.items() if value is not None})
    checker.check_model(model, full_check=True)
    save_model(model, str(path))
    return path


def _graph(window: int) -> ModelProto:
    span = min(RATE // 10, window)
    nodes = [
        helper.make_node("Unsqueeze", ["waveform", "channel"], ["audio"]),  # [batch, 1, samples]
        helper.make_node("Mul", ["audio", "audio"], ["power"]),
        helper.make_node("AveragePool", ["power"], ["powers"], kernel_shape=[span], strides=[span // 4 or 1]),
        helper.make_node("GlobalMaxPool", ["powers"], ["loudest"]),
        helper.make_node("Div", ["loudest", "middle"], ["ratio"]),
        helper.make_node("Pow", ["ratio", "steepness"], ["steep"]),
        helper.make_node("Add", ["steep", "one"], ["whole"]),
        helper.make_node("Div", ["steep", "whole"], ["loud"]),
        helper.make_node("Sub", ["one", "loud"], ["quiet"]),
        helper.make_node("Concat", ["loud", "quiet"], ["both"], axis=1),
        helper.make_node("Flatten", ["both"], ["probabilities"]),
        helper.make_node("GlobalAveragePool", ["power"], ["mean_power"]),
        helper.make_node("GlobalAveragePool", ["audio"], ["mean"]),
        helper.make_node("Abs", ["audio"], ["magnitude"]),
        helper.make_node("GlobalMaxPool", ["magnitude"], ["peak"]),
        helper.make_node("Concat", ["loudest", "mean_power", "mean", "peak"], ["statistics"], axis=1),
        helper.make_node("Flatten", ["statistics"], ["embedding"]),
    ]
    constants: dict[str, NDArray[np.generic]] = {
        "channel": np.array([1], np.int64),
        "middle": np.array(MIDDLE, np.float32),
        "steepness": np.array(1.5, np.float32),
        "one": np.array(1.0, np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "loudness",
        [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["batch", window])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 2]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 4]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
