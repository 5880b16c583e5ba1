"""The YAML card beside a model of another project."""

from pathlib import Path

import pytest

from monitor.classify.foreign_card import read_sheet, sheet_beside
from monitor.errors import ModelError
from monitor.messages import ModelCard

SHEET = """\
name: ears
sample_rate: 16000
window: 15600
labels: [Dog, Cat]
output: {kind: probabilities}
"""


def read(folder: Path, text: str) -> ModelCard:
    """The card that this text makes, of a model that holds nothing."""
    (folder / "x.onnx").touch()
    (folder / "x.yaml").write_text(text)
    return read_sheet(folder / "x.yaml", folder / "x.onnx")[1]


def refusal(folder: Path, text: str) -> str:
    """What is said of this text, after the path."""
    with pytest.raises(ModelError) as caught:
        read(folder, text)
    return str(caught.value).removeprefix(str(folder / "x.yaml"))


def test_the_card_has_the_name_of_its_model(tmp_path: Path) -> None:
    """With .yaml at the end."""
    assert sheet_beside(tmp_path / "x.int8.onnx") is None
    (tmp_path / "x.int8.yaml").touch()
    assert sheet_beside(tmp_path / "x.int8.onnx") == tmp_path / "x.int8.yaml"


def test_a_card_needs_little(tmp_path: Path) -> None:
    """The rest has its defaults."""
    card = read(tmp_path, SHEET)
    assert (card.name, card.family, card.licence, card.source) == ("ears", "foreign", "unknown", "unknown")
    assert (card.window, card.labels, card.max_batch) == (15_600, ("Dog", "Cat"), None)


def test_a_window_may_be_given_in_seconds(tmp_path: Path) -> None:
    """In samples it is the nearest whole number."""
    assert read(tmp_path, SHEET.replace("window: 15600", "seconds: 0.975")).window == 15_600


def test_labels_may_stand_in_a_file_beside_it(tmp_path: Path) -> None:
    """One a line, or as AudioSet's list of classes has them."""
    (tmp_path / "names.txt").write_text("Dog\n\nCat, small\n")
    assert read(tmp_path, SHEET.replace("[Dog, Cat]", "names.txt")).labels == ("Dog", "Cat, small")
    (tmp_path / "classes.csv").write_text('index,mid,display_name\n0,/m/1,"Dog"\n1,/m/2,"Male speech, man speaking"\n')
    assert read(tmp_path, SHEET.replace("[Dog, Cat]", "classes.csv")).labels == ("Dog", "Male speech, man speaking")


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
        ("window: 15600\n", "", ": top level: give either window, in samples, or seconds"),
        ("window: 15600", "window: 1\nseconds: 1", ": top level: give either window, in samples, or seconds"),
        ("labels: [Dog, Cat]", "labels: {a: b}", ":4: labels: expected text or a list"),
        ("[Dog, Cat]", "[Dog, Dog]", ": labels name a class twice"),
        ("[Dog, Cat]", "[]", ": labels must be a list of names, each on one line"),
        ("[Dog, Cat]", "../names.txt", ": labels must be a list, or the name of a .txt or .csv file in the same fol"),
        ("[Dog, Cat]", "names.json", ": labels must be a list, or the name of a .txt or .csv file in the same folder"),
        ("[Dog, Cat]", "names.txt", "names.txt: labels cannot be read: "),
        ("output:", "input: {front_end: cde}\noutput:", ":5: input: there is no front end 'cde'; known: ced, ced-k"),
        ("output:", "input: {layout: [batch, time]}\noutput:", ":5: input.layout.1: expected one of batch, samples, "),
        ("output:", "input: {layout: [frames]}\noutput:", ":5: input: layout must name samples once each, and batch "),
        ("output:", "input: {layout: [batch, batch, samples]}\noutput:", ":5: input: layout must name samples once "),
        ("16000", "8000\ninput: {front_end: ced}", ": top level: front end 'ced' is for a sample_rate of 16000"),
    ],
)
def test_each_wrong_entry_is_said(tmp_path: Path, old: str, new: str, said: str) -> None:
    """With its line and key, what it is, and what it should be."""
    assert old in SHEET
    assert said in refusal(tmp_path, SHEET.replace(old, new))


def test_a_table_of_labels_needs_its_column(tmp_path: Path) -> None:
    """In each row."""
    for table in ("index,name\n0,Dog\n", "index,display_name\n0\n"):
        (tmp_path / "classes.csv").write_text(table)
        said = refusal(tmp_path, SHEET.replace("[Dog, Cat]", "classes.csv"))
        assert said == f"{tmp_path / 'classes.csv'}: labels need a column display_name in each row"
