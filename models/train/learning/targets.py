"""What a window ought to answer: what both teachers think, and what is known of the sound for certain.

Nothing is raised or weighed up for being rare: a score shall be as likely as it says, whatever the room is full of.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..data.events import EVENT_NAMES, EVENTS
from ..data.labels import indices_of
from ..sounds.generators import GENERATORS

Targets = NDArray[np.float32]

SURE = 0.95
"""Lowest target of a generated sound's names where it is heard."""
FALSE = 0.05
"""Highest target of an event that stands alone among generated sounds, in one of another kind."""

MAYBE = 0.2
"""Target of a recording's own event where it is faint: neither there nor plainly absent."""


class Judge:
    """Turns the teachers' logits into targets."""

    def __init__(self, names: list[str], event_of_clip: Sequence[int]) -> None:
        """`names`: the teachers' 521 classes; `event_of_clip`: each recording's event or -1."""
        self._evidence = [indices_of((*event.surely, *event.also), names) for event in EVENTS]
        self._kinds = [indices_of(kind.names, names) for kind in GENERATORS]
        self._event_of_kind = np.array([EVENT_NAMES.index(k.event) if k.event else -1 for k in GENERATORS])
        self._alone = sorted({EVENT_NAMES.index(kind.event) for kind in GENERATORS if kind.alone})
        self._first = [columns[0] for columns in self._evidence]
        self._event_of_clip = np.array(event_of_clip)

    def __call__(
        self, near: Targets, far: Targets, clip: NDArray[np.int32], kind: NDArray[np.int16], heard: NDArray[np.bool_]
    ) -> tuple[Targets, Targets]:
        """Targets of the classes [n, 521] and of the events [n, events] for windows that the teachers answer with the
        logits `near` and `far` [n, 521], whose main sound comes from the recording `clip` or the generator `kind`
        (-1: none), and is `heard` or not."""
        classes = sigmoid(0.5 * (near.astype(np.float32) + far.astype(np.float32)))
        events = self.of_events(classes)
        known = np.where(clip >= 0, self._event_of_clip[clip], -1)
        rows = np.flatnonzero(heard & (known >= 0))
        events[rows, known[rows]] = 1.0
        for row in np.flatnonzero(kind >= 0):
            event = self._event_of_kind[kind[row]]
            events[row, self._alone] = np.minimum(events[row, self._alone], FALSE)
            if event < 0:
                columns = [self._first[other] for other in self._alone]
                classes[row, columns] = np.minimum(classes[row, columns], FALSE)
            elif heard[row]:
                columns = self._kinds[kind[row]]
                classes[row, columns] = np.maximum(classes[row, columns], SURE)
                events[row, event] = 1.0
        return classes, events

    def of_events(self, classes: Targets) -> Targets:
        """How likely each event is [n, events], by the classes' scores [n, 521]: as the best of its evidence."""
        return np.stack([classes[:, columns].max(axis=1) for columns in self._evidence], axis=1)

    def doubted(self, answers: tuple[Targets, Targets], clip: NDArray[np.int32]) -> tuple[Targets, Targets]:
        """`answers` for windows in which the recordings `clip` sound, of whose own event none counts as absent: it may
        be there and faint."""
        classes, events = (targets.copy() for targets in answers)
        known = np.where(clip >= 0, self._event_of_clip[clip], -1)
        for event in np.unique(known[known >= 0]):
            rows = np.flatnonzero(known == event)
            columns = np.ix_(rows, self._evidence[event])
            classes[columns] = np.maximum(classes[columns], MAYBE)
            events[rows, event] = np.maximum(events[rows, event], MAYBE)
        return classes, events


def sigmoid(logits: Targets) -> Targets:
    """Probabilities of logits."""
    return np.asarray(1.0 / (1.0 + np.exp(-logits)), np.float32)
