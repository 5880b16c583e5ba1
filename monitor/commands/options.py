"""Options of a command as a record with types, and the options that several commands share."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from monitor.commands import CommandTable, Parser
from monitor.errors import UsageError

if TYPE_CHECKING:
    from monitor.config.schema import Channel, Config, Decibels


def option(*flags: str, default: Any = None, **details: Any) -> Any:
    """A field of a command's options. `flags` and `details` are those of `ArgumentParser.add_argument`.

    Without flags it is an argument by position, with the field's name. Several values become a tuple.
    """
    return field(default=default, metadata={"flags": flags, "details": details})


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandOptions:
    """Base of the options of all commands: each field is one option, made by `option`."""

    DESCRIPTION: ClassVar[str] = ""
    """The beginning of the command's --help."""
    EPILOG: ClassVar[str] = ""
    """Its end: examples."""
    ACTIONS: ClassVar[CommandTable] = {}
    """Commands of the command, as `models pull`."""

    @classmethod
    def define(cls, parser: Parser) -> None:
        """Add the description and all options to the command's parser."""
        parser.description, parser.epilog = cls.DESCRIPTION, cls.EPILOG
        for one in fields(cls):
            parser.add_argument(*(one.metadata["flags"] or (one.name,)), **one.metadata["details"])
        if cls.ACTIONS:
            parser.add_commands("action", cls.ACTIONS)

    @classmethod
    def of(cls, chosen: argparse.Namespace) -> Self:
        """The options that were given on the command line, and the defaults of the others."""
        given = {one.name: getattr(chosen, one.name) for one in fields(cls) if hasattr(chosen, one.name)}
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()})


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigOptions(CommandOptions):
    """Options of a command that reads the configuration."""

    config: str | None = option(
        "-c",
        "--config",
        metavar="FILE",
        help="configuration file, - for standard input; default: ./config.yaml, ~/.config/sound-monitor/config.yaml "
        "or /etc/sound-monitor/config.yaml; if none exists, the built-in defaults",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelOptions(ConfigOptions):
    """Options of a command that runs the configured model."""

    model: str | None = option("--model", metavar="NAME|PATH", help="use this model (see `sound-monitor models`)")


def configuration(
    path: str | None, *, model: str | None = None, sources: tuple[str, ...] = (), loop: bool = False
) -> Config:
    """Read the configuration file at `path`, or the one that is found; the other arguments replace what it says.

    Raises `ConfigError`, `UsageError`.
    """
    import msgspec

    from monitor.config.load import load_config
    from monitor.config.paths import config_file
    from monitor.config.schema import Config, SourceConfig

    path = path or config_file()
    config = load_config(path) if path else Config()
    if sources:
        try:
            chosen = tuple(SourceConfig(input=spec, loop=loop) for spec in sources)
        except ValueError as error:
            raise UsageError(f"--source: {error}") from error
        config = msgspec.structs.replace(config, sources=chosen)
    if model:
        config = msgspec.structs.replace(config, model=msgspec.structs.replace(config.model, name=model))
    return config


def seconds(text: str) -> float:
    """A positive number of seconds."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of seconds")
    return value


def channel(text: str) -> Channel:
    """A channel: its number from 1, or a word."""
    words: tuple[Literal["mix", "left", "right", "loudest"], ...] = ("mix", "left", "right", "loudest")
    if (word := next((word for word in words if word == text), None)) is not None:
        return word
    if re.fullmatch(r"[1-9]|[12][0-9]|3[0-2]", text, re.ASCII):
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not {', '.join(words)} or a number from 1 to 32")


def gain(text: str) -> Decibels:
    """Decibels, or `auto`."""
    if text == "auto":
        return "auto"
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not -60 <= value <= 60:
        raise argparse.ArgumentTypeError(f"{text!r} is neither auto nor a number of decibels from -60 to 60")
    return value


def count(text: str) -> int:
    """A whole number from 1."""
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 999999999")
    return int(text)
