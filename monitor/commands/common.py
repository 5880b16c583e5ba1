"""What several commands share: the configuration with the command line laid over it, and the log."""

import logging
import os
from argparse import Namespace

import msgspec

from monitor.config.load import load
from monitor.config.paths import config_file
from monitor.config.schema import Config, SourceConfig
from monitor.stdio import LineOutlet, OutletHandler


def configuration(arguments: Namespace) -> Config:
    """The configuration file that is named or found, with the command line's choices. Raises `ConfigError`."""
    path = arguments.config or config_file()
    config = load(path) if path else Config()
    if getattr(arguments, "source", None):
        loop = getattr(arguments, "loop", False)
        sources = tuple(SourceConfig(input=spec, loop=loop) for spec in arguments.source)
        config = msgspec.structs.replace(config, sources=sources)
    if getattr(arguments, "model", None):
        config = msgspec.structs.replace(config, model=msgspec.structs.replace(config.model, name=arguments.model))
    return config


def log_to_stderr(level: str) -> LineOutlet:
    """Send log records to stderr without ever waiting for its reader; returns the outlet, to flush at the end."""
    outlet = LineOutlet(2)
    handler = OutletHandler(outlet)
    service = "JOURNAL_STREAM" in os.environ  # the journal has its own clock
    handler.setFormatter(
        logging.Formatter("%(levelname)s: %(message)s" if service else "%(asctime)s %(message)s", "%H:%M:%S")
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    return outlet
