"""What a window ought to answer: the teacher's opinion, put right by what is known of the sound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..data.events import EVENT_NAMES, EVENTS
from ..data.labels import indices_of
from ..sounds.generators import GENERATORS

Targets = NDArray[np.float32]

SURE, NAMED = 0.95, 0.8
"""Lowest target of a generated sound's names, and of those that a recording's label plainly says."""
RIVAL = 0.4
"""What is left of the teacher's score for other labelled events' names in a recording that is known to be one event."""
FALSE = 0.2
"""Highest target of an event that stands alone among generated sounds, in one of another kind."""
MAYBE = 0.2
"""Lowest target of a recording's own event in a window where it is faint: neither there nor plainly absent."""


class Judge:
    """Turns the teacher's scores into targets."""

    def __init__(self, names: list[str], event_of_clip: Sequence[int]) -> None:
        """`names`: the teacher's 521 classes; `event_of_clip`: each recording's event or -1."""
        self._surely = [indices_of(event.surely, names) for event in EVENTS]
        self._evidence = [indices_of((*event.surely, *event.also), names) for event in EVENTS]
        self._kinds = [indices_of(kind.names, names) for kind in GENERATORS]
        self._event_of_kind = np.array([EVENT_NAMES.index(k.event) if k.event else -1 for k in GENERATORS])
        self._alone = sorted({EVENT_NAMES.index(kind.event) for kind in GENERATORS if kind.alone})
        self._event_of_clip = np.array(event_of_clip)
        labelled = {c for event, columns in zip(EVENTS, self._surely, strict=True) if event.esc50 for c in columns}
        self._rivals = [sorted(labelled - set(evidence)) for evidence in self._evidence]

    def __call__(
        self, scores: Targets, clip: NDArray[np.int32], kind: NDArray[np.int16], heard: NDArray[np.bool_]
    ) -> tuple[Targets, Targets]:
        """Targets of the classes [n, 521] and of the events [n, events] for windows of which `scores` [n, 521],
        the main sound's recording `clip`, generator `kind` (-1: none) and whether it is `heard` are known."""
        classes = scores.astype(np.float32)
        events = np.stack([scores[:, columns].max(axis=1) for columns in self._evidence], axis=1).astype(np.float32)
        known = np.where(clip >= 0, self._event_of_clip[clip], -1)
        for row in np.flatnonzero(heard & (known >= 0)):
            event = known[row]
            classes[row, self._rivals[event]] *= RIVAL
            self._raise(classes[row], self._surely[event], NAMED)
            events[row] *= RIVAL
            events[row, event] = 1.0
        for row in np.flatnonzero(kind >= 0):
            event = self._event_of_kind[kind[row]]
            events[row, self._alone] = np.minimum(events[row, self._alone], FALSE)
            if event < 0:
                for other in self._alone:
                    columns = self._surely[other][:1]
                    classes[row, columns] = np.minimum(classes[row, columns], FALSE)
            elif heard[row]:
                self._raise(classes[row], self._kinds[kind[row]], SURE)
                events[row, event] = 1.0
        return classes, events

    def doubted(self, answers: tuple[Targets, Targets], clip: NDArray[np.int32]) -> tuple[Targets, Targets]:
        """`answers` for windows of recordings `clip`, in none of which the recording's own event counts as absent."""
        classes, events = (targets.copy() for targets in answers)
        known = self._event_of_clip[clip]
        for row in np.flatnonzero(known >= 0):
            self._raise(classes[row], self._surely[known[row]], MAYBE)
            self._raise(events[row], [known[row]], MAYBE)
        return classes, events

    @staticmethod
    def _raise(row: Targets, columns: list[int], least: float) -> None:
        row[columns] = np.maximum(row[columns], least)
