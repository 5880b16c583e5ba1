"""Loading a model into ONNX Runtime: what is refused, and how one is run."""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, load_model, save_model

from monitor.classify.native import NativeModel
from monitor.errors import ModelError
from monitor.messages import Samples
from tests.parts.tiny_model import write_tiny_model


def edited(path: Path, edit: Callable[[ModelProto], object]) -> Path:
    """The tiny model with a change to it."""
    model = load_model(str(write_tiny_model(path)))
    edit(model)
    save_model(model, str(path))
    return path


def rename(old: str, new: str) -> Callable[[ModelProto], None]:
    """Give an input or output another name."""

    def edit(model: ModelProto) -> None:
        for value in (*model.graph.input, *model.graph.output):
            if value.name == old:
                value.name = new
        for node in model.graph.node:
            node.input[:] = [new if name == old else name for name in node.input]
            node.output[:] = [new if name == old else name for name in node.output]

    return edit


def answer(last: str, dtype: int, shape: Sequence[int | str], **attributes: Any) -> Callable[[ModelProto], None]:
    """Let the embedding go through one more operation, and come out like this."""

    def edit(model: ModelProto) -> None:
        model.graph.node[-1].output[0] = "inner"
        model.graph.node.append(helper.make_node(last, ["inner"], ["embedding"], **attributes))
        model.graph.output[1].CopyFrom(helper.make_tensor_value_info("embedding", dtype, shape))

    return edit


def refusal(path: Path) -> str:
    """What is said of this file, without the path at its beginning."""
    with pytest.raises(ModelError) as caught:
        NativeModel(path)
    told, _, why = str(caught.value).partition(": ")
    assert told == str(path)
    assert "\n" not in why
    return why


def test_a_good_file_is_loaded(tmp_path: Path) -> None:
    """It tells its card and the provider that is really in use."""
    session = NativeModel(write_tiny_model(tmp_path / "ears.onnx"))
    assert session.provider == "CPUExecutionProvider"
    assert (session.card.name, session.card.labels) == ("ears", ("Loud", "Quiet"))


def test_waveforms_become_probabilities_and_embeddings(tmp_path: Path) -> None:
    """float32[batch, classes] and float32[batch, dims]; loud and silent are told apart."""
    session = NativeModel(write_tiny_model(tmp_path / "ears.onnx"))
    probabilities, embeddings = session.run(np.array([[0.5] * 15600, [0.0] * 15600], np.float32))
    assert embeddings is not None
    assert (probabilities.dtype.name, probabilities.shape) == ("float32", (2, 2))
    assert (embeddings.dtype.name, embeddings.shape) == ("float32", (2, 4))
    np.testing.assert_allclose(probabilities, [[1, 0], [0, 1]], atol=0.01)


def test_the_embedding_may_be_missing(tmp_path: Path) -> None:
    """Then `run` returns None in its place."""
    session = NativeModel(edited(tmp_path / "ears.onnx", lambda model: model.graph.output.pop()))
    assert session.run(np.zeros((1, 15600), np.float32))[1] is None


@pytest.mark.parametrize("content", [b"", b"RIFF....WAVEfmt ", b"\x08\x08"])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    """Empty, of another kind, or a beginning only."""
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    assert refusal(path).startswith("not an ONNX file, or damaged: ")


def test_a_model_that_does_not_describe_itself_is_refused(tmp_path: Path) -> None:
    """As those of other projects do not."""
    path = edited(tmp_path / "x.onnx", lambda model: model.ClearField("metadata_props"))
    assert refusal(path).startswith("the model does not describe itself: its metadata lacks format, name, ")


def test_other_inputs_and_outputs_are_refused(tmp_path: Path) -> None:
    """The message names those that there are."""
    said = "expected an input 'waveform' and an output 'probabilities', got inputs {} and outputs {}"
    path = edited(tmp_path / "x.onnx", rename("waveform", "input"))
    assert refusal(path) == said.format("input", "embedding, probabilities")
    path = edited(tmp_path / "x.onnx", rename("probabilities", "logits"))
    assert refusal(path) == said.format("waveform", "embedding, logits")


def test_other_number_types_are_refused(tmp_path: Path) -> None:
    """Everything is float32."""
    path = edited(tmp_path / "x.onnx", answer("Cast", TensorProto.DOUBLE, ["batch", 4], to=TensorProto.DOUBLE))
    assert refusal(path) == "'embedding' is a tensor(double), expected a tensor(float)"

    def whole_numbers(model: ModelProto) -> None:
        model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT16
        model.graph.node.insert(0, helper.make_node("Cast", ["waveform"], ["sound"], to=TensorProto.FLOAT))
        model.graph.node[1].input[0] = "sound"

    path = edited(tmp_path / "x.onnx", whole_numbers)
    assert refusal(path) == "'waveform' is a tensor(int16), expected a tensor(float)"


def test_labels_that_do_not_fit_the_answers_are_refused(tmp_path: Path) -> None:
    """Each class has one name."""
    path = write_tiny_model(tmp_path / "x.onnx", labels=("Loud", "Quiet", "Music"))
    assert refusal(path) == "two windows get probabilities of shape (2, 2), which does not fit 3 labels"


def test_an_embedding_that_is_not_one_a_window_is_refused(tmp_path: Path) -> None:
    """One vector for the whole batch would be torn apart."""
    path = edited(tmp_path / "x.onnx", answer("Flatten", TensorProto.FLOAT, [1, "all"], axis=0))
    assert refusal(path) == "two windows get an embedding of shape (1, 8), not one each"


@pytest.mark.parametrize("last", ["Neg", "Log"])
def test_values_that_are_no_probabilities_are_refused(tmp_path: Path, last: str) -> None:
    """An output called so may hold something else: what is below 0, or for silence infinite."""

    def wrong(model: ModelProto) -> None:
        position = next(i for i, node in enumerate(model.graph.node) if node.output[0] == "probabilities")
        model.graph.node[position].output[0] = "right"
        model.graph.node.insert(position + 1, helper.make_node(last, ["right"], ["probabilities"]))

    assert refusal(edited(tmp_path / "x.onnx", wrong)) == "its probabilities are not all in [0, 1]"


def test_a_window_that_the_model_does_not_take_is_refused(tmp_path: Path) -> None:
    """The metadata says one size, the network wants another."""

    def other_window(model: ModelProto) -> None:
        for value in model.metadata_props:
            if value.key == "window":
                value.value = "8000"

    path = edited(tmp_path / "x.onnx", other_window)
    said = "its metadata says a window of 8000 samples, its input has the shape ['batch', 15600]"
    assert refusal(path) == said


def fixed_batch(size: int) -> Callable[[ModelProto], None]:
    """Let the model take this many windows at once, and no other number."""

    def edit(model: ModelProto) -> None:
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = size

    return edit


def test_a_model_for_one_window_at_a_time_gets_them_in_turn(tmp_path: Path) -> None:
    """The answers are those of the model that takes any number."""
    whole = NativeModel(write_tiny_model(tmp_path / "whole.onnx"))
    single = NativeModel(edited(tmp_path / "single.onnx", fixed_batch(1)))
    assert (whole.card.max_batch, single.card.max_batch) == (None, 1)
    waveforms = np.random.default_rng(0).uniform(-0.01, 0.01, (3, 15600)).astype(np.float32)
    for expected, got in zip(whole.run(waveforms), single.run(waveforms), strict=True):
        assert expected is not None
        assert got is not None
        np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_a_model_for_a_fixed_number_of_windows_is_refused(tmp_path: Path) -> None:
    """There are seldom just so many."""
    said = "takes batches of 4 windows only; export it with a free batch, or 1"
    assert refusal(edited(tmp_path / "x.onnx", fixed_batch(4))) == said


def test_more_windows_than_may_run_together_run_in_parts(tmp_path: Path) -> None:
    """As the metadata says; also where their number is no multiple."""
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


def test_windows_that_change_one_another_run_one_by_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As dynamic quantisation does, whose scales are those of the whole batch; it is said."""

    def coupled(model: ModelProto) -> None:
        model.graph.node[1].output[0] = "own_power"
        model.graph.node.insert(2, helper.make_node("ReduceMax", ["own_power"], ["highest"], axes=[0], keepdims=1))
        model.graph.node.insert(3, helper.make_node("Add", ["own_power", "highest"], ["power"]))

    session = NativeModel(edited(tmp_path / "x.onnx", coupled))
    assert session.card.max_batch == 1
    assert "windows that run together change one another's scores" in caplog.text
    rows = np.array([[0.5] * 15600, [0.0] * 15600], np.float32)
    np.testing.assert_allclose(session.run(rows)[0], [[1, 0], [0, 1]], atol=0.01)


@pytest.mark.parametrize("provider", ["cuda", "tensorrt", "openvino"])
def test_a_configured_provider_that_is_absent_is_an_error(tmp_path: Path, provider: str) -> None:
    """Nothing silently falls back to the CPU."""
    path = write_tiny_model(tmp_path / "x.onnx")
    with pytest.raises(ModelError, match=f"provider {provider} is configured, but .* (knows only|could only load) "):
        NativeModel(path, provider)


def test_a_missing_runtime_is_said() -> None:
    """The program was installed without either of its builds."""
    code = (
        "import sys; sys.modules['onnxruntime'] = None; from monitor.__main__ import main; sys.exit(main(['models']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 65
    assert done.stderr.startswith("sound-monitor: cannot load ONNX Runtime (")
    assert "install the extra 'cpu' or 'gpu'" in done.stderr
