"""Opening a model by its name or path, whatever kind of file it is."""

from pathlib import Path

import pytest
from onnx import helper, load_model, save_model

from monitor.classify.foreign import ForeignModel
from monitor.classify.native import Session
from monitor.classify.open import describe, open_model
from monitor.config.schema import ModelConfig
from monitor.errors import ConfigError, ModelError
from tests.parts.foreign_model import write_ced
from tests.parts.tiny_model import write_tiny_model

CARD = """\
name: CED tiny
sample_rate: 16000
seconds: 1
labels: [Speech, Dog, Music]
input: {front_end: ced, layout: [batch, mels, frames]}
output: {kind: probabilities}
"""


def worded(path: Path) -> Path:
    """The tiny model, without classes of its own."""
    model = load_model(str(write_tiny_model(path, prompts="required")))
    kept = {entry.key: entry.value for entry in model.metadata_props if entry.key != "labels"}
    model.ClearField("metadata_props")
    helper.set_model_props(model, kept)
    save_model(model, str(path))
    return path


def test_a_model_that_describes_itself_is_opened(tmp_path: Path) -> None:
    """On the provider that is configured."""
    model = open_model(ModelConfig(name=str(write_tiny_model(tmp_path / "ears.onnx")), provider="cpu"))
    assert isinstance(model, Session)
    assert (model.card.name, model.provider) == ("ears", "CPUExecutionProvider")


def test_a_model_with_a_card_beside_it_is_opened_by_that(tmp_path: Path) -> None:
    """Without it, it says too little of itself."""
    config = ModelConfig(name=str(write_ced(tmp_path / "ced.onnx")))
    with pytest.raises(ModelError, match=r"does not describe itself: .* write a card ced\.yaml beside it"):
        open_model(config)
    (tmp_path / "ced.yaml").write_text(CARD)
    assert isinstance(open_model(config), ForeignModel)


def test_a_model_that_takes_prompts_asks_for_them(tmp_path: Path) -> None:
    """It has no classes of its own, and shows how to describe some."""
    path = worded(tmp_path / "clap.onnx")
    with pytest.raises(ConfigError, match=r"(?s)told in words.*model: \{name: clap, prompts: \{glass: \[a glass"):
        open_model(ModelConfig(name=str(path)))


def test_prompts_for_a_model_that_takes_none_are_refused(tmp_path: Path) -> None:
    """They would be passed over in silence."""
    path = write_tiny_model(tmp_path / "ears.onnx")
    with pytest.raises(ConfigError, match=r"model\.prompts: .*ears\.onnx .*takes no prompts"):
        open_model(ModelConfig(name=str(path), prompts={"glass": ("glass breaking",)}))


def test_every_kind_is_described_without_being_loaded(tmp_path: Path) -> None:
    """As the opened model's card says, as far as only trying it out tells more."""
    ears = write_tiny_model(tmp_path / "ears.onnx")
    assert describe(ears) == open_model(ModelConfig(name=str(ears))).card
    ced = write_ced(tmp_path / "ced.onnx")
    (tmp_path / "ced.yaml").write_text(CARD)
    assert describe(ced) == open_model(ModelConfig(name=str(ced))).card
    assert describe(worded(tmp_path / "clap.onnx")).labels == ()
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match="not an ONNX file"):
        describe(tmp_path / "bad.onnx")
