"""Find model files, and open a model of any kind."""

import contextlib
from pathlib import Path

import msgspec

from monitor.classify.card import read_card, takes_prompts
from monitor.classify.foreign import ForeignModel
from monitor.classify.foreign_card import card_beside, read_foreign_card
from monitor.classify.model import Model, NativeModel
from monitor.classify.onnx_file import read_metadata
from monitor.classify.prompted import PromptedModel
from monitor.config.paths import model_folders
from monitor.config.schema import ModelConfig
from monitor.errors import ConfigError, ModelError, suggestion
from monitor.files import expand_home
from monitor.messages import ModelCard

ANY_PROMPTS = {"sound": ("a sound",)}
"""Prompts for a model that takes some, when none are configured."""


def open_model(config: ModelConfig) -> Model:
    """Find, load and check the configured model.

    Raises `ModelError`, and `ConfigError` for prompts that are missing or that the model does not take.
    """
    path = find_model(config.name)
    card_path = card_beside(path)
    if card_path is None and takes_prompts(read_metadata(path)):
        return PromptedModel(path, config.prompts, config.background, config.provider, config.threads)
    if config.prompts:
        raise ConfigError(
            f"model.prompts: {path} has classes of its own and takes no prompts: remove them, or choose a model that "
            "takes prompts, such as clap"
        )
    if card_path is not None:
        return ForeignModel(path, card_path, config.provider, config.threads)
    return NativeModel(path, config.provider, config.threads)


def open_any(path: Path, config: ModelConfig) -> Model:
    """Open this file as configured, with prompts only if it takes some. Raises `ModelError`."""
    prompts = {} if describe_model(path).labels else config.prompts or ANY_PROMPTS
    return open_model(msgspec.structs.replace(config, name=str(path.absolute()), prompts=prompts))


def describe_model(path: Path) -> ModelCard:
    """Return the card of a model file without loading the model. Raises `ModelError`."""
    metadata = read_metadata(path)
    card_path = card_beside(path)
    if card_path is not None:
        return read_foreign_card(card_path, path)[1]
    return read_card(path, metadata)


def model_files() -> list[Path]:
    """Return all installed model files, sorted by name; of files with the same name, only the first in the search."""
    found: dict[str, Path] = {}
    for folder in model_folders():
        with contextlib.suppress(PermissionError):  # HOME may be another user's
            for path in sorted(folder.glob("*.onnx")):
                found.setdefault(path.stem, path)
    return [found[name] for name in sorted(found)]


def find_model(name: str) -> Path:
    """Return a model's file by its name or path. Raises `ModelError` that suggests an installed model."""
    if name.endswith(".onnx") or "/" in name:
        path = expand_home(name)
        if not path.is_file():
            raise ModelError(f"model file {name} does not exist")
        return path
    installed = {path.stem: path for path in model_files()}
    if name in installed:
        return installed[name]
    raise ModelError(f"unknown model {name!r}; {suggestion(name, installed)}")
