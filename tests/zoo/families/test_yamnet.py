"""YAMNet from a TensorFlow Lite file: the same network, its labels, and files of other networks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.schema_py_generated import ActivationFunctionType, BuiltinOperator, Padding

from monitor.errors import ModelError
from monitor.zoo.build.export import export_network
from monitor.zoo.families import audioset
from monitor.zoo.families.yamnet import BLOCKS, FAMILY, SAMPLE_RATE, WINDOW, Yamnet, YamnetLogMel
from tests.zoo.tflite_file import Array, TfliteFile


def write_yamnet(path: Path, blocks: tuple[tuple[int, int], ...] = BLOCKS, classes: int = 521) -> Path:
    """A file of seeded weights with Google's layers, from log-mel; its outputs are the scores and the embedding."""
    rng = np.random.default_rng(0)
    file = TfliteFile()
    relu = {"fusedActivationFunction": ActivationFunctionType.RELU, "padding": Padding.SAME}

    def eight_bit(shape: tuple[int, ...], inputs: int) -> int:
        values = rng.integers(-127, 128, shape, np.int8)
        stored = file.constant(values, np.array([np.sqrt(2 / inputs) / 73]))  # of standard deviation sqrt(2 / inputs)
        return file.operator(BuiltinOperator.DEQUANTIZE, [stored], shape)

    def bias(channels: int) -> int:
        return file.constant(rng.normal(0, 0.1, channels).astype(np.float32))

    frames = file.tensor((96, 512))
    file.operator(BuiltinOperator.FULLY_CONNECTED, [frames, eight_bit((257, 512), 512), bias(257)], (96, 257))
    mel = file.tensor((1, 96, 64, 1))
    height, width, channels = 48, 32, 32
    image = file.operator(
        BuiltinOperator.CONV_2D,
        [mel, eight_bit((32, 3, 3, 1), 9), bias(32)],
        (1, 48, 32, 32),
        strideH=2,
        strideW=2,
        **relu,
    )
    for out, stride in blocks:
        height, width = height // stride, width // stride
        image = file.operator(
            BuiltinOperator.DEPTHWISE_CONV_2D,
            [image, eight_bit((1, 3, 3, channels), 9), bias(channels)],
            (1, height, width, channels),
            strideH=stride,
            strideW=stride,
            depthMultiplier=1,
            **relu,
        )
        image = file.operator(
            BuiltinOperator.CONV_2D,
            [image, eight_bit((out, 1, 1, channels), channels), bias(out)],
            (1, height, width, out),
            strideH=1,
            strideW=1,
            **relu,
        )
        channels = out
    axes = file.constant(np.array([1, 2], np.int32))
    embedding = file.operator(BuiltinOperator.MEAN, [image, axes], (1, channels))
    head = [embedding, eight_bit((classes, channels), 8 * channels), bias(classes)]
    logits = file.operator(BuiltinOperator.FULLY_CONNECTED, head, (1, classes))
    scores = file.operator(BuiltinOperator.LOGISTIC, [logits], (1, classes))
    return file.write(path, [mel, frames], [scores, embedding])


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file in the publisher's format."""
    return write_yamnet(tmp_path_factory.mktemp("yamnet") / "yamnet.tflite")


@pytest.fixture(scope="module")
def network(published: Path) -> Yamnet:
    """The network of the file."""
    built = FAMILY.build(FAMILY.read(published), WINDOW)
    assert isinstance(built, Yamnet)
    return built


def log_mel(waveform: Array) -> Array:
    """YAMNet's features float64[96, 64], by the book: a Fourier transform of every frame."""
    frames = np.lib.stride_tricks.sliding_window_view(waveform.astype(np.float64), 400)[::160]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    magnitudes = np.abs(np.fft.rfft(frames * hann, 512))
    mels = 1127 * np.log(1 + np.linspace(0, SAMPLE_RATE / 2, 257) / 700)
    edges = np.linspace(1127 * np.log(1 + 125 / 700), 1127 * np.log(1 + 7500 / 700), 66)
    bank = np.stack([np.interp(mels, edges[band : band + 3], (0, 1, 0)) for band in range(64)], axis=1)
    return np.asarray(np.log(magnitudes @ bank + 0.001))


def test_front_end() -> None:
    """The features are those that YAMNet was trained on, for silence as well."""
    rng = np.random.default_rng(0)
    waveforms = np.stack([rng.uniform(-1, 1, WINDOW), 0.01 * rng.normal(size=WINDOW), np.zeros(WINDOW)])
    given = YamnetLogMel()(torch.from_numpy(waveforms.astype(np.float32))).numpy()

    np.testing.assert_allclose(given, [log_mel(waveform) for waveform in waveforms], atol=1e-4)


def test_answers_of_litert(published: Path, network: Yamnet) -> None:
    """From the same features the network answers as LiteRT does with the file."""
    interpreter = Interpreter(str(published), num_threads=1)
    interpreter.allocate_tensors()
    mel, scores, embedding = (
        details["index"] for details in (*interpreter.get_input_details()[:1], *interpreter.get_output_details())
    )
    features = np.random.default_rng(1).normal(-4, 2, (96, 64)).astype(np.float32)
    interpreter.set_tensor(mel, features[None, ..., None])
    interpreter.invoke()
    with torch.no_grad():
        given = network.classify(torch.from_numpy(features[None]))

    np.testing.assert_allclose(given[0], interpreter.get_tensor(scores), atol=1e-4)
    np.testing.assert_allclose(given[1], interpreter.get_tensor(embedding), atol=1e-4)
    assert np.ptp(given[0].numpy()) > 0.1


def test_export(network: Yamnet, tmp_path: Path) -> None:
    """The exported file answers as the network does, in batches as well."""
    assert export_network(network, tmp_path / "yamnet.onnx", {"name": "yamnet"}, window=WINDOW) < 1e-4


def test_labels() -> None:
    """The labels are 521 of AudioSet's classes, in its order."""
    everything = audioset.labels()

    assert len(FAMILY.labels()) == 521
    assert [everything.index(name) for name in FAMILY.labels()] == sorted(
        everything.index(name) for name in FAMILY.labels()
    )
    assert FAMILY.labels()[132] == "Music"


def test_another_network(tmp_path: Path) -> None:
    """A file with other layers is refused."""
    with pytest.raises(ModelError, match="not YAMNet"):
        FAMILY.read(write_yamnet(tmp_path / "short.tflite", BLOCKS[:-1]))


def test_another_width(tmp_path: Path) -> None:
    """A file of the same layers with other channels is refused, and the first different one is named."""
    path = write_yamnet(tmp_path / "wide.tflite", ((128, 1), *BLOCKS[1:]))
    with pytest.raises(ModelError, match=r"layers\.2\.weight"):
        FAMILY.build(FAMILY.read(path), WINDOW)


def test_another_window(published: Path) -> None:
    """A window of another length is refused with the required one."""
    with pytest.raises(ModelError, match="15600 samples, not 16000"):
        FAMILY.build(FAMILY.read(published), 16_000)
