"""What a model file must say about itself."""

import hashlib
import re
from pathlib import Path

import pytest

from monitor.classify.card import REQUIRED, read_card
from monitor.errors import ModelError

METADATA = {
    "format": "1",
    "name": "ears",
    "family": "test",
    "sample_rate": "16000",
    "window": "15600",
    "labels": '["Dog", "Cat"]',
    "licence": "MIT",
    "source": "here",
    "description": "hears",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of any content."""
    path = tmp_path / "ears.onnx"
    path.write_bytes(b"model")
    return path


def refusal(path: Path, **changes: str) -> str:
    """The error for metadata with these changes, without the leading path."""
    with pytest.raises(ModelError) as caught:
        read_card(path, METADATA | changes)
    name, _, why = str(caught.value).partition(": ")
    assert name == str(path)
    return why


def test_a_card_has_all_entries(path: Path) -> None:
    """A card has parsed values, and the size and hash of the file."""
    card = read_card(path, METADATA)
    assert (card.name, card.family, card.sample_rate, card.window) == ("ears", "test", 16000, 15600)
    assert card.labels == ("Dog", "Cat")
    assert (card.licence, card.source, card.description) == ("MIT", "here", "hears")
    assert (card.sha256, card.size) == (hashlib.sha256(b"model").hexdigest(), 5)
    assert card.path == str(path)


def test_a_description_may_be_missing(path: Path) -> None:
    """A file without a description is accepted."""
    assert read_card(path, {key: METADATA[key] for key in REQUIRED}).description == ""


def test_max_batch_is_optional(path: Path) -> None:
    """`max_batch` limits the windows in one run; by default any number is allowed."""
    assert read_card(path, METADATA).max_batch is None
    assert read_card(path, METADATA | {"max_batch": "1"}).max_batch == 1


def test_other_entries_are_ignored(path: Path) -> None:
    """Entries of later versions and other tools change nothing."""
    more = {"thresholds": "[0.1, {", "": "nothing", "pkg_torch.onnx": "\x00" * 1000}
    assert read_card(path, METADATA | more) == read_card(path, METADATA)


@pytest.mark.parametrize("key", REQUIRED)
def test_each_missing_entry_is_named(path: Path, key: str) -> None:
    """The error names an entry that is missing or empty."""
    said = f"missing metadata: {key}; for a model of another project, write a card ears.yaml beside it"
    assert refusal(path, **{key: ""}) == said
    with pytest.raises(ModelError, match=re.escape(said)):
        read_card(path, {k: v for k, v in METADATA.items() if k != key})


def test_all_missing_entries_are_named_at_once(path: Path) -> None:
    """The error for an ONNX file of another project names all required entries."""
    with pytest.raises(ModelError, match=f"missing metadata: {', '.join(REQUIRED)};"):
        read_card(path, {})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "2"}, "unsupported metadata format 2, expected 1"),
        ({"sample_rate": "16 kHz"}, "metadata sample_rate is '16 kHz', expected a whole number 1000 to 384000"),
        ({"sample_rate": "999"}, "metadata sample_rate is '999', expected a whole number 1000 to 384000"),
        ({"window": "0"}, "metadata window is '0', expected a whole number 1 to 23040000"),
        ({"window": str(2**60)}, f"metadata window is '{2**60}', expected a whole number 1 to 23040000"),
        ({"window": "0.975"}, "metadata window is '0.975', expected a whole number 1 to 23040000"),
        ({"labels": "Dog,Cat"}, "metadata labels must be a JSON list of names"),
        ({"labels": '{"0": "Dog"}'}, "metadata labels must be a JSON list of names"),
        ({"labels": "[]"}, "metadata labels must be a list of names, each on one line"),
        ({"labels": '["Dog", 1]'}, "metadata labels must be a list of names, each on one line"),
        ({"labels": '["Dog", ""]'}, "metadata labels must be a list of names, each on one line"),
        ({"labels": '["Dog", "C\\nat"]'}, "metadata labels must be a list of names, each on one line"),
        ({"labels": '["Dog", "Cat", "Dog"]'}, "duplicate class 'Dog' in metadata labels"),
        (
            {"labels": '["Dog", "' + "x" * 100_000 + '"]'},
            "class 'xxxxxxxxxxxxxxxxxxxx…' in metadata labels is longer than 128 characters",
        ),
        ({"labels": "[" * 100_000}, "metadata labels must be a JSON list of names"),
        ({"name": "ears\x1b[2J"}, "metadata name must be one line of text"),
        ({"description": "hears\nthis"}, "metadata description must be one line of text"),
        ({"max_batch": "0"}, "metadata max_batch is '0', expected a whole number 1 to 256"),
    ],
)
def test_an_invalid_entry_is_an_error(path: Path, changes: dict[str, str], said: str) -> None:
    """The error gives the invalid value and the expected one."""
    assert refusal(path, **changes) == said
