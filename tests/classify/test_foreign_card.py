"""The YAML card beside a model of another project."""

from pathlib import Path

import pytest

from monitor.classify.foreign_card import card_beside, read_foreign_card
from monitor.errors import ModelError
from monitor.messages import ModelCard

CARD = """\
name: ears
sample_rate: 16000
window: 15600
labels: [Dog, Cat]
output: {kind: probabilities}
"""


def read(folder: Path, text: str) -> ModelCard:
    """The card with this text, beside an empty model file."""
    (folder / "x.onnx").touch()
    (folder / "x.yaml").write_text(text)
    return read_foreign_card(folder / "x.yaml", folder / "x.onnx")[1]


def refusal(folder: Path, text: str) -> str:
    """The error for this text, after the path."""
    with pytest.raises(ModelError) as caught:
        read(folder, text)
    return str(caught.value).removeprefix(str(folder / "x.yaml"))


def test_the_card_has_the_name_of_its_model(tmp_path: Path) -> None:
    """The card has the name of the model with the ending .yaml."""
    assert card_beside(tmp_path / "x.int8.onnx") is None
    (tmp_path / "x.int8.yaml").touch()
    assert card_beside(tmp_path / "x.int8.onnx") == tmp_path / "x.int8.yaml"


def test_most_keys_are_optional(tmp_path: Path) -> None:
    """A minimal card gets defaults for the rest."""
    card = read(tmp_path, CARD)
    assert (card.name, card.family, card.licence, card.source) == ("ears", "foreign", "unknown", "unknown")
    assert (card.window, card.labels, card.max_batch) == (15_600, ("Dog", "Cat"), None)


def test_a_window_may_be_given_in_seconds(tmp_path: Path) -> None:
    """Seconds become the nearest whole number of samples."""
    assert read(tmp_path, CARD.replace("window: 15600", "seconds: 0.975")).window == 15_600


def test_labels_may_be_in_a_file(tmp_path: Path) -> None:
    """Labels come from a text file, one per line, or from a CSV in AudioSet's format."""
    (tmp_path / "names.txt").write_text("Dog\n\nCat, small\n")
    assert read(tmp_path, CARD.replace("[Dog, Cat]", "names.txt")).labels == ("Dog", "Cat, small")
    (tmp_path / "classes.csv").write_text('index,mid,display_name\n0,/m/1,"Dog"\n1,/m/2,"Male speech, man speaking"\n')
    assert read(tmp_path, CARD.replace("[Dog, Cat]", "classes.csv")).labels == ("Dog", "Male speech, man speaking")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("window:", "windows:", ":3: windows: unknown key; did you mean 'window'?"),
        ("{kind: prob", "{kinds: prob", ":5: output.kinds: unknown key; did you mean 'kind'?"),
        ("name: ears\n", "", ": top level: missing key name"),
        ("kind: probabilities", "kind: logit", ":5: output.kind: expected one of probabilities, logits, not 'logit'"),
        ("16000", "16 kHz", ":2: sample_rate: expected a whole number, not '16 kHz'"),
        ("15600", str(2**60), f":3: window: expected a whole number <= 23040000, not '{2**60}'"),
        ("name: ears", 'name: "a\\e[2J"', ":1: name: expected a name without control characters, not 'a\\x1b[2J'"),
        ("window: 15600\n", "", ": top level: set either window, in samples, or seconds"),
        ("window: 15600", "window: 1\nseconds: 1", ": top level: set either window, in samples, or seconds"),
        ("labels: [Dog, Cat]", "labels: {a: b}", ":4: labels: expected text or a list"),
        ("[Dog, Cat]", "[Dog, Dog]", ": duplicate class 'Dog' in labels"),
        ("[Dog, Cat]", "[]", ": labels must be a list of names, each on one line"),
        ("[Dog, Cat]", "../names.txt", ": labels must be a list or the name of a .txt or .csv file in the same fol"),
        ("[Dog, Cat]", "names.json", ": labels must be a list or the name of a .txt or .csv file in the same folder"),
        ("[Dog, Cat]", "names.txt", "names.txt: cannot read the labels: "),
        ("output:", "input: {front_end: cde}\noutput:", ":5: input: unknown front end 'cde'; did you mean 'ced'?"),
        ("output:", "input: {layout: [batch, time]}\noutput:", ":5: input.layout.1: expected one of batch, samples, "),
        ("output:", "input: {layout: [frames]}\noutput:", ":5: input: layout must contain samples exactly once, and "),
        ("output:", "input: {layout: [batch, batch, samples]}\noutput:", ":5: input: layout must contain samples "),
        ("16000", "8000\ninput: {front_end: ced}", ": top level: front end 'ced' requires sample_rate 16000"),
    ],
)
def test_an_invalid_entry_is_an_error(tmp_path: Path, old: str, new: str, said: str) -> None:
    """The error gives line and key, the invalid value and the expected one."""
    assert old in CARD
    assert said in refusal(tmp_path, CARD.replace(old, new))


def test_a_csv_of_labels_requires_its_column(tmp_path: Path) -> None:
    """A CSV without display_name, or with a row without it, is an error."""
    for table in ("index,name\n0,Dog\n", "index,display_name\n0\n"):
        (tmp_path / "classes.csv").write_text(table)
        said = refusal(tmp_path, CARD.replace("[Dog, Cat]", "classes.csv"))
        assert said == f"{tmp_path / 'classes.csv'}: labels require a column display_name in each row"
