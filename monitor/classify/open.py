"""Opens a model by its name or path, whatever kind of file it is."""

from pathlib import Path

from monitor.classify.card import read_card, takes_prompts
from monitor.classify.foreign import ForeignModel
from monitor.classify.foreign_card import read_sheet, sheet_beside
from monitor.classify.library import find
from monitor.classify.model import Model
from monitor.classify.native import Session
from monitor.classify.onnx_file import read_onnx
from monitor.classify.prompted import PromptedModel
from monitor.config.schema import ModelConfig
from monitor.errors import ConfigError
from monitor.messages import ModelCard


def open_model(config: ModelConfig) -> Model:
    """Find, load and check the configured model.

    Raises `ModelError` that says what to do, and `ConfigError` for prompts that are missing or that it does not take.
    """
    return _open(find(config.name), config)


def describe(path: Path) -> ModelCard:
    """What a model file says about itself, or the card beside it says, without loading it. Raises `ModelError`."""
    file = read_onnx(path)
    sheet = sheet_beside(path)
    if sheet is not None:
        return read_sheet(sheet, path)[1]
    return read_card(path, file.metadata, has_embedding="embedding" in file.outputs)


def _open(path: Path, config: ModelConfig) -> Model:
    sheet = sheet_beside(path)
    if sheet is None and takes_prompts(read_onnx(path).metadata):
        return PromptedModel(path, config.prompts, config.background, config.provider, config.threads)
    if config.prompts:
        raise ConfigError(
            f"model.prompts: {path} has classes of its own and takes no prompts: leave them out, or choose a model "
            "that is told in words what to listen for, such as clap"
        )
    if sheet is not None:
        return ForeignModel(path, sheet, config.provider, config.threads)
    return Session(path, config.provider, config.threads)
