"""Keeps the settings chosen at run time over a restart, in a small JSON file."""

import asyncio
import logging
import threading
from pathlib import Path

import msgspec

from monitor.control.settings import Choices, Settings
from monitor.files import written_whole

MAX_BYTES = 1024 * 1024
"""Largest file that is read; a longer one is not ours."""

log = logging.getLogger(__name__)


class SettingsFile:
    """Replaced as a whole on each save. A disk that fails is logged once; the settings then last until the restart."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._newest = Choices()
        self._writing = threading.Lock()
        self._failing = False

    def restore(self, settings: Settings) -> None:
        """Take over the choices made before the restart, and log what is different from the configuration."""
        for problem in settings.restore(self.load()):
            log.warning("settings %s: %s", self.path, problem)
        choices = settings.choices
        if choices.paused:
            log.warning("listening is paused, as chosen over MQTT: resume it there, or delete %s", self.path)
        if changed := ", ".join(choices.changes.get(choices.profile, ())):
            log.info("changed over MQTT in profile %s: %s", choices.profile, changed)

    def load(self) -> Choices:
        """The saved choices; none if the file is missing or invalid."""
        try:
            with self.path.open("rb") as file:
                return msgspec.json.decode(file.read(MAX_BYTES), type=Choices)
        except FileNotFoundError:
            return Choices()
        except (OSError, ValueError, RecursionError) as error:
            log.warning("cannot read settings %s (%s): using the configuration as it is", self.path, error)
            return Choices()

    async def save(self, choices: Choices) -> None:
        """Keep these choices, safe from a power cut. After overlapping or cancelled calls, the newest are kept."""
        self._newest = choices
        await asyncio.to_thread(self._write)

    def _write(self) -> None:
        """Write the newest choices; a cancelled `save` leaves its thread running, so that two may meet here."""
        with self._writing:
            try:
                with written_whole(self.path, durable=True) as part:
                    part.write_bytes(msgspec.json.format(msgspec.json.encode(self._newest)) + b"\n")
            except OSError as error:
                if not self._failing:
                    log.error("cannot write settings %s (%s): they last until the next restart", self.path, error)
                self._failing = True
                return
            if self._failing:
                log.warning("settings %s are written again", self.path)
            self._failing = False
