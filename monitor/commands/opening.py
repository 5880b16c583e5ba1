"""Opening a model to look at it, whatever the configuration says about sounds."""

from pathlib import Path

import msgspec

from monitor.classify.model import Model
from monitor.classify.open import describe_model, open_model
from monitor.config.schema import ModelConfig

ANYTHING = {"sound": ("a sound",)}
"""What a model that is told in words what to listen for is told where nobody has."""


def open_any(path: Path, config: ModelConfig) -> Model:
    """Open this file as configured, with prompts where it takes some, and only there. Raises `ModelError`."""
    prompts = {} if describe_model(path).labels else config.prompts or ANYTHING
    return open_model(msgspec.structs.replace(config, name=str(path.absolute()), prompts=prompts))
