"""What a model file says of how it becomes int8."""

import pytest

from monitor.errors import ModelError
from monitor.zoo.metadata import KEY, Quantization, as_metadata, read_quantization


@pytest.mark.parametrize("quantization", [Quantization(), Quantization("dynamic", ("head", "stages.0"), equalise=True)])
def test_is_read_as_it_was_written(quantization: Quantization) -> None:
    """Through the file's metadata."""
    assert read_quantization("ears", as_metadata(quantization)) == quantization


def test_a_model_that_says_nothing_cannot_be_quantised() -> None:
    """Nobody knows what of it must stay in float."""
    with pytest.raises(ModelError, match="ears cannot be quantised: its file does not say"):
        read_quantization("ears", {"name": "ears"})


@pytest.mark.parametrize("text", ["", "{", '{"kind": "magic"}', '{"keep": "head"}', '["static"]'])
def test_nonsense_is_refused(text: str) -> None:
    """With the key's name."""
    with pytest.raises(ModelError, match="ears: invalid metadata quantization"):
        read_quantization("ears", {KEY: text})
