"""Native models: loading, errors, and inference."""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, load_model, save_model

from monitor.classify.model import NativeModel
from monitor.errors import ModelError
from monitor.messages import Samples
from tests.parts.tiny_model import write_tiny_model


def edited(path: Path, edit: Callable[[ModelProto], object]) -> Path:
    """The tiny model with this edit."""
    model = load_model(str(write_tiny_model(path)))
    edit(model)
    save_model(model, str(path))
    return path


def rename(old: str, new: str) -> Callable[[ModelProto], None]:
    """Edit that renames an input or output."""

    def edit(model: ModelProto) -> None:
        for value in (*model.graph.input, *model.graph.output):
            if value.name == old:
                value.name = new
        for node in model.graph.node:
            node.input[:] = [new if name == old else name for name in node.input]
            node.output[:] = [new if name == old else name for name in node.output]

    return edit


def answer(last: str, dtype: int, shape: Sequence[int | str], **attributes: Any) -> Callable[[ModelProto], None]:
    """Edit that adds a last operation to the embedding, with this type and shape."""

    def edit(model: ModelProto) -> None:
        model.graph.node[-1].output[0] = "inner"
        model.graph.node.append(helper.make_node(last, ["inner"], ["embedding"], **attributes))
        model.graph.output[1].CopyFrom(helper.make_tensor_value_info("embedding", dtype, shape))

    return edit


def refusal(path: Path) -> str:
    """The error for this file, without the leading path."""
    with pytest.raises(ModelError) as caught:
        NativeModel(path)
    name, _, why = str(caught.value).partition(": ")
    assert name == str(path)
    assert "\n" not in why
    return why


def test_a_valid_file_is_loaded(tmp_path: Path) -> None:
    """The model has its card and the provider in use."""
    session = NativeModel(write_tiny_model(tmp_path / "ears.onnx"))
    assert session.provider == "CPUExecutionProvider"
    assert (session.card.name, session.card.labels) == ("ears", ("Loud", "Quiet"))


def test_waveforms_become_probabilities_and_embeddings(tmp_path: Path) -> None:
    """Outputs are float32[batch, classes] and float32[batch, dims], and differ for loud and silent."""
    session = NativeModel(write_tiny_model(tmp_path / "ears.onnx"))
    probabilities, embeddings = session.run(np.array([[0.5] * 15600, [0.0] * 15600], np.float32))
    assert embeddings is not None
    assert (probabilities.dtype.name, probabilities.shape) == ("float32", (2, 2))
    assert (embeddings.dtype.name, embeddings.shape) == ("float32", (2, 4))
    np.testing.assert_allclose(probabilities, [[1, 0], [0, 1]], atol=0.01)


def test_the_embedding_may_be_missing(tmp_path: Path) -> None:
    """Without an embedding, `run` returns None in its place."""
    session = NativeModel(edited(tmp_path / "ears.onnx", lambda model: model.graph.output.pop()))
    assert session.run(np.zeros((1, 15600), np.float32))[1] is None


@pytest.mark.parametrize("content", [b"", b"RIFF....WAVEfmt ", b"\x08\x08"])
def test_a_file_that_is_not_a_model_is_an_error(tmp_path: Path, content: bytes) -> None:
    """An empty, foreign or truncated file is an error."""
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    assert refusal(path).startswith("not an ONNX file, or damaged: ")


def test_a_model_without_metadata_is_an_error(tmp_path: Path) -> None:
    """The error names the missing metadata."""
    path = edited(tmp_path / "x.onnx", lambda model: model.ClearField("metadata_props"))
    assert refusal(path).startswith("missing metadata: format, name, ")


def test_other_inputs_and_outputs_are_refused(tmp_path: Path) -> None:
    """The error names the inputs and outputs of the file."""
    said = "expected an input 'waveform' and an output 'probabilities', got inputs {} and outputs {}"
    path = edited(tmp_path / "x.onnx", rename("waveform", "input"))
    assert refusal(path) == said.format("input", "embedding, probabilities")
    path = edited(tmp_path / "x.onnx", rename("probabilities", "logits"))
    assert refusal(path) == said.format("waveform", "embedding, logits")


def test_other_number_types_are_refused(tmp_path: Path) -> None:
    """Inputs and outputs must be float32."""
    path = edited(tmp_path / "x.onnx", answer("Cast", TensorProto.DOUBLE, ["batch", 4], to=TensorProto.DOUBLE))
    assert refusal(path) == "'embedding' has type tensor(double), expected tensor(float)"

    def whole_numbers(model: ModelProto) -> None:
        model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT16
        model.graph.node.insert(0, helper.make_node("Cast", ["waveform"], ["sound"], to=TensorProto.FLOAT))
        model.graph.node[1].input[0] = "sound"

    path = edited(tmp_path / "x.onnx", whole_numbers)
    assert refusal(path) == "'waveform' has type tensor(int16), expected tensor(float)"


def test_labels_must_match_the_probabilities(tmp_path: Path) -> None:
    """A different number of labels is an error."""
    path = write_tiny_model(tmp_path / "x.onnx", labels=("Loud", "Quiet", "Music"))
    assert refusal(path) == "probabilities of two windows have shape (2, 2), expected (2, 3), as there are 3 labels"


def test_an_embedding_for_a_whole_batch_is_an_error(tmp_path: Path) -> None:
    """Each window must have one embedding."""
    path = edited(tmp_path / "x.onnx", answer("Flatten", TensorProto.FLOAT, [1, "all"], axis=0))
    assert refusal(path) == "embeddings of two windows have shape (1, 8), not (2, dims)"


@pytest.mark.parametrize("last", ["Neg", "Log"])
def test_values_outside_0_to_1_are_an_error(tmp_path: Path, last: str) -> None:
    """An output named probabilities with negative or infinite values is an error."""

    def wrong(model: ModelProto) -> None:
        position = next(i for i, node in enumerate(model.graph.node) if node.output[0] == "probabilities")
        model.graph.node[position].output[0] = "right"
        model.graph.node.insert(position + 1, helper.make_node(last, ["right"], ["probabilities"]))

    assert refusal(edited(tmp_path / "x.onnx", wrong)) == "the model returned probabilities outside [0, 1]"


def test_the_window_must_match_the_input(tmp_path: Path) -> None:
    """A window in the metadata that differs from the input's shape is an error."""

    def other_window(model: ModelProto) -> None:
        for value in model.metadata_props:
            if value.key == "window":
                value.value = "8000"

    path = edited(tmp_path / "x.onnx", other_window)
    said = "metadata window is 8000 samples, but the input has shape ['batch', 15600]"
    assert refusal(path) == said


def fixed_batch(size: int) -> Callable[[ModelProto], None]:
    """Edit that fixes the batch size."""

    def edit(model: ModelProto) -> None:
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = size

    return edit


def test_a_model_with_a_batch_of_one_runs_windows_one_by_one(tmp_path: Path) -> None:
    """The answers match those of the model with a free batch."""
    whole = NativeModel(write_tiny_model(tmp_path / "whole.onnx"))
    single = NativeModel(edited(tmp_path / "single.onnx", fixed_batch(1)))
    assert (whole.card.max_batch, single.card.max_batch) == (None, 1)
    waveforms = np.random.default_rng(0).uniform(-0.01, 0.01, (3, 15600)).astype(np.float32)
    for expected, got in zip(whole.run(waveforms), single.run(waveforms), strict=True):
        assert expected is not None
        assert got is not None
        np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_a_model_for_a_fixed_number_of_windows_is_refused(tmp_path: Path) -> None:
    """A fixed batch of several windows is an error."""
    said = "the graph requires batches of 4 windows: export it with a free batch, or 1"
    assert refusal(edited(tmp_path / "x.onnx", fixed_batch(4))) == said


def test_more_windows_than_max_batch_run_in_parts(tmp_path: Path) -> None:
    """`max_batch` of the metadata splits a batch, the last part of which may be smaller."""
    session = NativeModel(write_tiny_model(tmp_path / "x.onnx", max_batch="2"))
    waveforms = np.random.default_rng(0).uniform(-0.01, 0.01, (5, 15600)).astype(np.float32)
    sizes: list[int] = []
    run = session._graph.run

    def counted(outputs: Sequence[str], feeds: Mapping[str, NDArray[np.generic]]) -> list[Samples]:
        sizes.append(len(feeds["waveform"]))
        return run(outputs, feeds)

    session._graph.run = counted  # type: ignore[method-assign]
    probabilities, embeddings = session.run(waveforms)
    assert sizes == [2, 2, 1]
    assert embeddings is not None
    assert (probabilities.shape, embeddings.shape) == ((5, 2), (5, 4))
    np.testing.assert_allclose(embeddings[:, 3], np.abs(waveforms).max(axis=1), rtol=1e-6)


def test_windows_that_affect_one_another_run_one_by_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Coupled rows, as with dynamic quantisation, cause a warning and single runs."""

    def coupled(model: ModelProto) -> None:
        model.graph.node[1].output[0] = "own_power"
        model.graph.node.insert(2, helper.make_node("ReduceMax", ["own_power"], ["highest"], axes=[0], keepdims=1))
        model.graph.node.insert(3, helper.make_node("Add", ["own_power", "highest"], ["power"]))

    session = NativeModel(edited(tmp_path / "x.onnx", coupled))
    assert session.card.max_batch == 1
    assert "windows in one batch affect one another's scores" in caplog.text
    rows = np.array([[0.5] * 15600, [0.0] * 15600], np.float32)
    np.testing.assert_allclose(session.run(rows)[0], [[1, 0], [0, 1]], atol=0.01)


@pytest.mark.parametrize("provider", ["cuda", "tensorrt", "openvino"])
def test_a_configured_provider_that_is_absent_is_an_error(tmp_path: Path, provider: str) -> None:
    """There is no silent fallback to the CPU."""
    path = write_tiny_model(tmp_path / "x.onnx")
    with pytest.raises(ModelError, match=f"provider {provider} is configured, but .* (supports only|loaded) "):
        NativeModel(path, provider)


def test_a_missing_runtime_is_an_error() -> None:
    """Without ONNX Runtime the program names the extras to install."""
    code = (
        "import sys; sys.modules['onnxruntime'] = None; from monitor.__main__ import main; sys.exit(main(['models']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 65
    assert done.stderr.startswith("sound-monitor: cannot load ONNX Runtime (")
    assert "reinstall onnxruntime, or onnxruntime-gpu" in done.stderr
