"""Where the publisher gets the recorded detections from that the broker does not have yet."""

from collections.abc import Sequence
from typing import Protocol

from monitor.messages import Detection, Recorded


class Journal(Protocol):
    """Detections in the order of their recording, with a mark that outlives the program."""

    async def pending(self, most: int) -> Sequence[Recorded]:
        """The oldest that the broker has not acknowledged, at most so many; the same ones until it has."""

    async def recent(self, most: int) -> Sequence[Detection]:
        """The newest, oldest of them first, whether acknowledged or not."""

    async def acknowledge(self, recorded: Sequence[Recorded]) -> None:
        """The broker has these, the oldest pending ones."""
