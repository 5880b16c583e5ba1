"""The sources that a configuration selects, and their names."""

import logging
import os
from collections.abc import Collection, Sequence

from monitor.audio.spec import default_name, parse_spec
from monitor.config.schema import Config, SourceConfig
from monitor.errors import ConfigError

log = logging.getLogger(__name__)


def selected_sources(config: Config) -> Sequence[SourceConfig]:
    """Return the configured sources, otherwise the default microphone, otherwise a demonstration with a warning.

    With a broker, or as a service, the default is always the microphone, which may be slow to start: a home must not
    take a demonstration for its own sounds.
    """
    if config.sources:
        return config.sources
    from monitor.audio.inputs.microphone import default_available

    if config.mqtt.host is not None or "NOTIFY_SOCKET" in os.environ or default_available():
        return (SourceConfig(input="mic"),)
    log.warning("no microphone found: playing a synthesised demonstration instead (choose a source with --source)")
    return (SourceConfig(input="demo"),)


def source_names(sources: Sequence[SourceConfig], reserved: Collection[str]) -> list[str]:
    """Return a unique name for each source: the configured one, or one derived from its input.

    Raises `ConfigError` for a configured name that is reserved or a duplicate, and for an invalid input.
    """
    names: list[str] = []
    for source in sources:
        name = source.name or default_name(parse_spec(source.input))
        taken = {*reserved, *names}
        if name in taken:
            if source.name:
                problem = f"source name {name!r} is reserved" if name in reserved else f"duplicate source name {name!r}"
                raise ConfigError(f"sources: {problem}; choose another")
            name = next(f"{name}-{n}" for n in range(2, len(taken) + 3) if f"{name}-{n}" not in taken)
        names.append(name)
    return names
