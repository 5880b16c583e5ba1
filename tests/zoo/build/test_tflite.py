"""Layers read from TensorFlow Lite files, and files that are refused."""

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.schema_py_generated import BuiltinOperator

from monitor.errors import ModelError
from monitor.zoo.build.tflite import read_layers
from tests.zoo.tflite_file import TfliteFile

RNG = np.random.default_rng(0)
INT8 = RNG.integers(-127, 128, (4, 3, 3, 2), np.int8)
FLOAT = RNG.normal(size=(1, 3, 3, 4)).astype(np.float32)
BIAS = RNG.normal(size=4).astype(np.float32)


def test_float_weights(tmp_path: Path) -> None:
    """Float weights and biases are read as they are stored."""
    file = TfliteFile()
    image = file.tensor((1, 8, 8, 4))
    file.operator(BuiltinOperator.DEPTHWISE_CONV_2D, [image, file.constant(FLOAT), file.constant(BIAS)], (1, 8, 8, 4))
    (layer,) = read_layers(file.write(tmp_path / "a.tflite"))

    assert layer.kind == "depthwise"
    np.testing.assert_array_equal(layer.weight, FLOAT)
    np.testing.assert_array_equal(layer.bias, BIAS)


def test_one_scale(tmp_path: Path) -> None:
    """8-bit weights with one scale mean scale times the distance from the zero point; a missing bias is zero."""
    file = TfliteFile()
    weight = file.constant(INT8, np.array([0.25]), np.array([-3]))
    file.operator(BuiltinOperator.CONV_2D, [file.tensor((1, 8, 8, 2)), weight, -1], (1, 8, 8, 4))
    (layer,) = read_layers(file.write(tmp_path / "a.tflite"))

    assert layer.kind == "convolution"
    np.testing.assert_array_equal(layer.weight, 0.25 * (INT8.astype(np.float32) + 3))
    np.testing.assert_array_equal(layer.bias, np.zeros(4))


def test_scale_of_each_channel(tmp_path: Path) -> None:
    """8-bit weights may have a scale for each channel along any axis."""
    file = TfliteFile()
    weight = file.constant(INT8, np.array([0.5, 2]), np.array([0, 1]), axis=3)
    file.operator(BuiltinOperator.CONV_2D, [file.tensor((1, 8, 8, 2)), weight, file.constant(BIAS)], (1, 8, 8, 4))
    (layer,) = read_layers(file.write(tmp_path / "a.tflite"))

    np.testing.assert_array_equal(layer.weight[..., 0], 0.5 * INT8[..., 0])
    np.testing.assert_array_equal(layer.weight[..., 1], 2 * (INT8[..., 1].astype(np.float32) - 1))


def test_weights_behind_an_operator(tmp_path: Path) -> None:
    """Weights that the file dequantises by an operator are found through it; other operators are ignored."""
    file = TfliteFile()
    stored = file.constant(INT8, np.array([0.25]))
    weight = file.operator(BuiltinOperator.DEQUANTIZE, [stored], INT8.shape)
    file.operator(BuiltinOperator.CONV_2D, [file.tensor((1, 8, 8, 2)), weight, file.constant(BIAS)], (1, 8, 8, 4))
    (layer,) = read_layers(file.write(tmp_path / "a.tflite"))

    np.testing.assert_array_equal(layer.weight, 0.25 * INT8)


def test_no_file(tmp_path: Path) -> None:
    """A missing file is named."""
    with pytest.raises(ModelError, match=r"absent\.tflite: cannot be read"):
        read_layers(tmp_path / "absent.tflite")


@pytest.mark.parametrize("content", [b"", b"\x08\x03PK not one"])
def test_another_kind_of_file(content: bytes, tmp_path: Path) -> None:
    """A file without TensorFlow Lite's identifier is refused."""
    path = tmp_path / "other.tflite"
    path.write_bytes(content)

    with pytest.raises(ModelError, match="not a TensorFlow Lite file"):
        read_layers(path)


def test_damaged_file(tmp_path: Path) -> None:
    """A truncated or overwritten file gives layers or a plain error."""
    file = TfliteFile()
    weight = file.constant(INT8, np.array([0.25]))
    file.operator(BuiltinOperator.CONV_2D, [file.tensor((1, 8, 8, 2)), weight, file.constant(BIAS)], (1, 8, 8, 4))
    whole = file.write(tmp_path / "a.tflite").read_bytes()
    refused = 0
    for place in range(8, len(whole), 4):
        for damaged in (whole[:place], whole[:place] + b"\xff\xff\xff\x7f" + whole[place + 4 :]):
            (tmp_path / "b.tflite").write_bytes(damaged)
            try:
                read_layers(tmp_path / "b.tflite")
            except ModelError:
                refused += 1

    assert refused > len(whole) / 8
