"""Models of other projects, with a card beside them."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, load_model, save_model

from monitor.classify.classifier import Classifier
from monitor.classify.features import FRONT_ENDS
from monitor.classify.foreign import ForeignModel
from monitor.errors import ModelError
from monitor.messages import Samples, Window
from tests.parts.foreign_model import weights, write_ced, write_waveform, write_zipformer

WINDOW = 16_000
LABELS = "labels: [Speech, Dog, Music]\n"
CED = f"""\
name: CED tiny
family: ced
sample_rate: 16000
seconds: 1
{LABELS}licence: Apache-2.0
source: https://github.com/RicherMans/CED
input: {{front_end: ced, layout: [batch, mels, frames]}}
output: {{name: prob, kind: probabilities}}
"""
ZIPFORMER = f"""\
name: zipformer
sample_rate: 16000
window: {WINDOW}
{LABELS}input: {{name: x, front_end: icefall, lengths: x_lens}}
output: {{kind: logits}}
"""
AUDIO = """\
name: loudness
sample_rate: 16000
window: 16000
labels: [Loud]
input: {layout: [samples]}
output: {kind: probabilities}
embedding: vector
"""

Writer = Callable[[Path], Path]


def opened(folder: Path, write: Writer, sheet: str) -> ForeignModel:
    """The model with this card."""
    (folder / "x.yaml").write_text(sheet)
    return ForeignModel(write(folder / "x.onnx"), folder / "x.yaml")


def refusal(folder: Path, write: Writer, sheet: str) -> str:
    """The error for this model with this card, without the leading path of the card."""
    with pytest.raises(ModelError) as caught:
        opened(folder, write, sheet)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(str(folder / "x.yaml"))


def changed(write: Writer, edit: Callable[[ModelProto], object]) -> Writer:
    """A writer of the model with this edit."""

    def changed_write(path: Path) -> Path:
        model = load_model(str(write(path)))
        edit(model)
        save_model(model, str(path))
        return path

    return changed_write


def sounds() -> Samples:
    """Three windows, the second silent."""
    rng = np.random.default_rng(0)
    return np.stack([rng.uniform(-level, level, WINDOW) for level in (0.5, 0.0, 0.01)]).astype(np.float32)


def sigmoid(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """The sigmoid in double precision."""
    return np.asarray(1.0 / (1.0 + np.exp(-scores.astype(np.float64))))


def test_ced_runs_on_the_features_of_its_front_end(tmp_path: Path) -> None:
    """The axes are arranged as in the layout, and probabilities are unchanged; the card has all entries."""
    model = opened(tmp_path, write_ced, CED)
    probabilities, embeddings = model.run(sounds())
    assert embeddings is None
    assert probabilities.dtype == np.float32
    expected = sigmoid(FRONT_ENDS["ced"](sounds()).mean(axis=1) @ weights(64))
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    card = model.card
    assert (card.name, card.family, card.sample_rate, card.window) == ("CED tiny", "ced", 16_000, WINDOW)
    assert (card.labels, card.licence) == (("Speech", "Dog", "Music"), "Apache-2.0")
    assert (card.max_batch, len(card.sha256)) == (None, 64)


def test_zipformer_gets_the_number_of_frames(tmp_path: Path) -> None:
    """The lengths input gets the number of frames, and logits become probabilities."""
    probabilities, _ = opened(tmp_path, write_zipformer, ZIPFORMER).run(sounds())
    assert probabilities.dtype == np.float32
    expected = sigmoid(FRONT_ENDS["icefall"](sounds()).mean(axis=1) @ weights(80))
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


@pytest.mark.parametrize(("write", "sheet"), [(write_ced, CED), (write_zipformer, ZIPFORMER), (write_waveform, AUDIO)])
def test_a_row_has_the_same_answer_alone(tmp_path: Path, write: Writer, sheet: str) -> None:
    """A batch has the answers of its rows, also if the graph takes only one row."""
    model = opened(tmp_path, write, sheet)
    rows = sounds()
    together, _ = model.run(rows)
    for row, expected in zip(rows, together, strict=True):
        np.testing.assert_allclose(model.run(row[None])[0][0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "layout"),
    [(("samples",), "[samples]"), ((1, "samples"), "[batch, samples]"), ((1, 1, WINDOW), "[batch, 1, samples]")],
)
def test_a_graph_for_one_waveform_runs_row_by_row(tmp_path: Path, shape: tuple[int | str, ...], layout: str) -> None:
    """Layouts without a batch axis, or with a batch of 1, run row by row."""
    sheet = AUDIO.replace("[samples]", layout)
    model = opened(tmp_path, lambda path: write_waveform(path, shape), sheet)
    assert model.card.max_batch == 1
    probabilities, embeddings = model.run(sounds())
    peaks = np.abs(sounds()).max(axis=1)
    np.testing.assert_allclose(probabilities[:, 0], peaks)
    assert embeddings is not None
    np.testing.assert_allclose(embeddings, np.stack((sounds().mean(axis=1), peaks), axis=1), atol=1e-7)


async def test_it_runs_in_the_classifier(tmp_path: Path) -> None:
    """The classifier runs a foreign model like any other."""
    model = opened(tmp_path, write_zipformer, ZIPFORMER)
    windows = [
        Window(f"s{i}", 0, 0, model.card.sample_rate, samples, datetime.now(UTC)) for i, samples in enumerate(sounds())
    ]
    expected, _ = model.run(sounds())
    classifier = Classifier(model, batch=2)
    scores = await classifier.run(windows)
    classifier.close()
    assert classifier.card.name == "zipformer"
    np.testing.assert_allclose([score.probabilities for score in scores], expected, atol=1e-6)


def test_loud_logits_do_not_overflow(tmp_path: Path) -> None:
    """Huge logits become 0 or 1."""

    def louder(model: ModelProto) -> None:
        model.graph.node[-1].op_type = "Mul"
        model.graph.node[-1].input.append("huge")
        model.graph.initializer.append(helper.make_tensor("huge", TensorProto.FLOAT, [], [1e30]))

    probabilities, _ = opened(tmp_path, changed(write_zipformer, louder), ZIPFORMER).run(sounds())
    assert set(probabilities.flat) <= {0.0, 1.0}


def test_probabilities_declared_as_logits_are_an_error(tmp_path: Path) -> None:
    """Without this check every class would be on in silence."""
    said = refusal(tmp_path, lambda path: write_zipformer(path, sigmoid=True), ZIPFORMER)
    assert said.endswith("for silence no class is below 0: the outputs are probably probabilities")


def test_logits_declared_as_probabilities_are_an_error(tmp_path: Path) -> None:
    """Values outside [0, 1] are an error."""
    said = refusal(tmp_path, write_zipformer, ZIPFORMER.replace("logits", "probabilities"))
    assert said.endswith("x.onnx: the model returned probabilities outside [0, 1]")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name: prob,", "name: probs,", ": the graph has no output 'probs'; it has 'prob'"),
        ("{front_end", "{name: x, front_end", ": the graph's inputs are 'feats': input.name and input.lengths must"),
        ("{front_end", "{lengths: n, front_end", ": the graph's inputs are 'feats': input.name and input.lengths mu"),
        ("seconds: 1", "seconds: 1\nembedding: e", ": the graph has no output 'e'; it has 'prob'"),
        ("mels, frames]", "frames, mels]", ": window and layout require an input of shape ['batch', 101, 64], bu"),
        (
            "front_end: ced, layout: [batch, mels, frames]",
            "",
            ": window and layout require an input of shape ['batch', 1600",
        ),
        ("Music]", "Music, Cat]", "x.onnx: probabilities of two windows have shape (2, 3), expected (2, 4), as"),
    ],
)
def test_a_card_that_does_not_fit_its_graph_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    """The error names the entry of the card and what the graph has."""
    assert old in CED
    assert said in refusal(tmp_path, write_ced, CED.replace(old, new))


def test_a_graph_for_a_fixed_number_of_windows_is_refused(tmp_path: Path) -> None:
    """A fixed batch of several windows is an error; a batch of 1 is accepted."""
    said = refusal(tmp_path, lambda path: write_ced(path, batch=4), CED)
    assert said == ": the graph requires batches of 4 windows: export it with a free batch, or 1"
    assert opened(tmp_path, lambda path: write_ced(path, batch=1), CED).card.max_batch == 1


def test_other_number_types_are_refused(tmp_path: Path) -> None:
    """Audio must be float32, lengths int64."""

    def of(position: int, kind: int) -> Callable[[ModelProto], None]:
        def edit(model: ModelProto) -> None:
            model.graph.input[position].type.tensor_type.elem_type = kind
            if position == 0:
                model.graph.node.insert(0, helper.make_node("Cast", ["x"], ["x32"], to=TensorProto.FLOAT))
                model.graph.node[1].input[0] = "x32"

        return edit

    said = refusal(tmp_path, changed(write_zipformer, of(0, TensorProto.DOUBLE)), ZIPFORMER)
    assert said == ": input 'x' has type tensor(double), expected tensor(float)"
    said = refusal(tmp_path, changed(write_zipformer, of(1, TensorProto.INT32)), ZIPFORMER)
    assert said == ": input 'x_lens' has type tensor(int32), expected tensor(int64)"


def test_an_input_missing_from_the_card_is_an_error(tmp_path: Path) -> None:
    """The error names all inputs of the graph."""
    said = refusal(tmp_path, write_zipformer, ZIPFORMER.replace(", lengths: x_lens", ""))
    assert said == ": the graph's inputs are 'x', 'x_lens': input.name and input.lengths must name them all"
