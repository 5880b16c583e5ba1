"""Clears what an earlier configuration left retained: topics of sources, sounds and settings that are no more."""

from collections.abc import Collection, Sequence

from monitor.mqtt.companion import Send
from monitor.mqtt.discovery import Device
from monitor.mqtt.topics import ANY, ANY_SOUND, PROBLEM, parse, slugs


class Leftovers:
    """The publisher's companion; `device` is what there is now."""

    def __init__(self, device: Device) -> None:
        topics = device.topics
        self._topics = topics
        self._settings = f"{topics.prefix}/{topics.node}/setting/"
        self._sources: Collection[str] = device.sources
        self._sounds = {ANY_SOUND, PROBLEM, *slugs(device.sounds).values()}
        self._controls = {control.state_topic for control in device.controls}
        self._level = device.level

    @property
    def filters(self) -> Sequence[str]:
        """All that is retained below a source, and the settings."""
        topics = self._topics
        sounds = [topics.state(ANY, ANY), topics.attributes(ANY, ANY)]
        return [topics.source_availability(ANY), topics.level(ANY), *sounds, f"{self._settings}#"]

    async def connected(self, send: Send) -> None:
        """Nothing to say; what is retained comes by itself."""

    async def received(self, topic: str, payload: bytes, retained: bool, send: Send) -> None:
        """Clear the topic if it is left over."""
        if retained and payload and self._left_over(topic):
            await send(topic, b"", True)

    def _left_over(self, topic: str) -> bool:
        where = parse(self._topics.prefix, topic)
        if where is None:
            return topic not in self._controls
        if where.source not in self._sources or (where.leaf == "level" and not self._level):
            return True
        return where.sound is not None and where.sound not in self._sounds
