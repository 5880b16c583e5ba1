"""Opens a model by its name or path, whatever kind of file it is."""

from monitor.classify.library import find
from monitor.classify.model import Model
from monitor.classify.session import Session
from monitor.config import ModelConfig


def open_model(config: ModelConfig) -> Model:
    """Find, load and check the configured model. Raises `ModelError` that says what to do."""
    return Session(find(config.name), config.provider, config.threads)
