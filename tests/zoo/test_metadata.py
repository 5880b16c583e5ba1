"""How a model file describes its quantisation."""

import pytest

from monitor.errors import ModelError
from monitor.zoo.metadata import KEY, Quantization, as_metadata, read_quantization


@pytest.mark.parametrize("quantization", [Quantization(), Quantization("dynamic", ("head", "stages.0"), equalise=True)])
def test_a_quantisation_is_read_as_it_was_written(quantization: Quantization) -> None:
    """A quantisation survives the file's metadata unchanged."""
    assert read_quantization("ears", as_metadata(quantization)) == quantization


def test_a_model_that_says_nothing_cannot_be_quantised() -> None:
    """A file that does not say what must stay in float is refused."""
    with pytest.raises(ModelError, match="ears cannot be quantised: its file does not say"):
        read_quantization("ears", {"name": "ears"})


@pytest.mark.parametrize("text", ["", "{", '{"kind": "magic"}', '{"keep": "head"}', '["static"]'])
def test_invalid_metadata_is_refused(text: str) -> None:
    """The error names the key of the invalid entry."""
    with pytest.raises(ModelError, match="ears: invalid metadata quantization"):
        read_quantization("ears", {KEY: text})
