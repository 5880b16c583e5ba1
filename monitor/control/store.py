"""Keeps the settings that were chosen at run time over a restart, in a small JSON file."""

import logging
from pathlib import Path

import msgspec

from monitor.control.settings import Choices
from monitor.files import written_whole

LIMIT = 1024 * 1024
"""Bytes; what is longer is not ours."""

log = logging.getLogger(__name__)


class SettingsFile:
    """Written whole or not at all. A disk that fails is said once, and the settings hold until the next restart."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._failing = False

    def load(self) -> Choices:
        """What was chosen; nothing, where the file is missing or cannot be understood."""
        try:
            with self.path.open("rb") as file:
                return msgspec.json.decode(file.read(LIMIT), type=Choices)
        except FileNotFoundError:
            return Choices()
        except (OSError, ValueError, RecursionError) as error:
            log.warning("settings %s cannot be read (%s): all is as configured", self.path, error)
            return Choices()

    def save(self, choices: Choices) -> None:
        """Keep this, beyond a power cut."""
        try:
            with written_whole(self.path, durable=True) as part:
                part.write_bytes(msgspec.json.format(msgspec.json.encode(choices)) + b"\n")
        except OSError as error:
            if not self._failing:
                log.error("settings %s cannot be written (%s): they hold until the next restart", self.path, error)
            self._failing = True
            return
        if self._failing:
            log.warning("settings %s are written again", self.path)
        self._failing = False
