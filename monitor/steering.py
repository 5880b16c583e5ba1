"""Puts the settings into force: on the sources, on their rules, and in the file that keeps them over a restart."""

import asyncio
import logging
from collections.abc import Collection

from monitor.audio.source import Source
from monitor.control.settings import Settings
from monitor.control.store import SettingsFile
from monitor.pipeline import SourceTrack

log = logging.getLogger(__name__)


class Steering:
    """Steers a running monitor."""

    def __init__(
        self,
        settings: Settings,
        file: SettingsFile,
        listeners: Collection[Source],
        tracks: Collection[SourceTrack],
    ) -> None:
        self._settings, self._file, self._listeners, self._tracks = settings, file, listeners, tracks

    def restore(self) -> None:
        """Go on as it was chosen before the restart."""
        for problem in self._settings.restore(self._file.load()):
            log.warning("settings %s: %s", self._file.path, problem)
        choices = self._settings.choices
        if choices.paused:
            log.warning("listening is paused, as was chosen over MQTT: resume it there, or delete %s", self._file.path)
        if changed := ", ".join(choices.changes.get(choices.profile, ())):
            log.info("changed over MQTT in profile %s: %s", choices.profile, changed)
        self._steer()

    async def changed(self) -> None:
        """The settings are others now; returns once they are kept."""
        self._steer()
        await asyncio.to_thread(self._file.save, self._settings.choices)

    def _steer(self) -> None:
        for listener in self._listeners:
            listener.pause(self._settings.choices.paused)
        for track in self._tracks:
            track.adopt(self._settings.rules)
