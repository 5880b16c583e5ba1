"""What counts in a home: how many of its sounds a model finds at how many false alarms an hour.

False alarms are counted on hours of speech, music and ambience from sources that no training heard, one recording of a
source after the other; the sounds of a home come from recordings that were kept out, with silence around each. All
models answer the same windows, a quarter of a second apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby

import numpy as np

from monitor.config.schema import DetectionConfig
from monitor.detect.rules import resolve
from monitor.detect.tracker import Tracker
from monitor.messages import Phase, Scores, Window

from ..data.corpus import Corpus
from ..data.events import EVENT_NAMES
from ..learning.calibrate import threshold
from ..networks.frontend import SAMPLE_RATE, WINDOW
from ..progress import track
from .evaluate import Samples, cut

HOP = SAMPLE_RATE // 4
"""Samples from window to window."""
STEP = SAMPLE_RATE // 20
"""Samples by which a sound is moved on the hop grid."""
AROUND = WINDOW // 2
"""Samples of silence before and after a sound of a home."""
RATES = (0.05, 0.1, 0.34, 1.0)
"""False alarms an hour that each sound is allowed by itself."""
TOGETHER = 1.0
"""False alarms an hour that all sounds are allowed together where they share a threshold."""
LEAST = 6
"""Recordings that a sound needs to be measured."""
TALK = ("Speech", "Music")
"""Rules whose sound is in the background."""

Listener = Callable[["Stream"], Samples]
"""What a model says about the windows of a stream, probabilities [n, labels]."""


@dataclass(frozen=True, slots=True)
class Sound:
    """A sound of a home, and what tells of it."""

    event: str
    """Its name in the events head, and the event that its recordings are."""
    names: tuple[str, ...]
    """AudioSet's names for it."""


SOUNDS = (
    Sound("Emergency siren", ("Siren",)),
    Sound("Alarm clock ringing", ("Alarm clock", "Alarm")),
    Sound("Knocking on a door", ("Knock",)),
    Sound("Glass breaking", ("Shatter", "Breaking")),
    Sound("Baby crying", ("Baby cry, infant cry", "Crying, sobbing")),
    Sound("Dog barking", ("Dog", "Bark")),
    Sound("Cat meowing", ("Cat", "Meow")),
    Sound("Coughing", ("Cough",)),
    Sound("Sneezing", ("Sneeze",)),
    Sound("Snoring sleeper", ("Snoring",)),
    Sound("Laughing", ("Laughter",)),
    Sound("Person screaming", ("Screaming",)),
    Sound("Clapping hands", ("Clapping",)),
    Sound("Footsteps", ("Walk, footsteps",)),
    Sound("Brushing teeth", ("Toothbrush",)),
    Sound("Telephone ringing", ("Telephone", "Telephone bell ringing")),
    Sound("Typing on a keyboard", ("Computer keyboard", "Typing")),
    Sound("Clock ticking", ("Tick-tock", "Clock")),
    Sound("Vacuum cleaning", ("Vacuum cleaner",)),
    Sound("Flushing a toilet", ("Toilet flush",)),
    Sound("Pouring water", ("Pour", "Liquid")),
    Sound("Water running", ("Water tap, faucet", "Water")),
    Sound("Door creaking", ("Creak",)),
    Sound("Door opening or closing", ("Slam", "Door")),
    Sound("Car horn", ("Vehicle horn, car horn, honking",)),
    Sound("Thunderclap", ("Thunder", "Thunderstorm")),
    Sound("Fire crackling", ("Fire", "Crackle")),
)


@dataclass(frozen=True, slots=True)
class Stream:
    """Recordings that are heard one after the other."""

    numbers: tuple[int, ...]
    event: str = ""
    """What it is a recording of; empty for background."""
    shift: int = 0
    """Samples of silence before it at 16 kHz, beside those around each sound of a home."""

    def samples(self, corpus: Corpus) -> Samples:
        """At the corpus's rate, float32 in [-1, 1]."""
        around = AROUND if self.event else 0
        before, after = ((each * corpus.rate) // SAMPLE_RATE for each in (around + self.shift, around))
        return np.pad(np.concatenate([corpus.samples(number) for number in self.numbers]), (before, after))

    def windows(self, corpus: Corpus) -> Samples:
        """[n, 15600] at 16 kHz."""
        return cut(self.samples(corpus), HOP)


def streams(corpus: Corpus) -> list[Stream]:
    """The val split: background by source, and each recording of a sound that has enough of them."""
    val = [(n, EVENT_NAMES[c.event]) for n, c in enumerate(corpus.clips) if c.split == "val" and c.event >= 0]
    counts = Counter(name for _, name in val)
    wanted = {sound.event for sound in SOUNDS if counts[sound.event] >= LEAST}
    return [*background(corpus, "val"), *(Stream((number,), name) for number, name in val if name in wanted)]


def background(corpus: Corpus, split: str) -> list[Stream]:
    """Speech, music and ambience of a split, one stream a source."""
    found = sorted((c.source, n) for n, c in enumerate(corpus.clips) if c.split == split and c.kind != "event")
    return [Stream(tuple(n for _, n in group)) for _, group in groupby(found, key=lambda pair: pair[0])]


@dataclass(frozen=True, slots=True)
class Heard:
    """What a model says about all streams."""

    streams: tuple[Stream, ...]
    probabilities: tuple[Samples, ...]
    """[windows, labels] of each stream."""
    labels: tuple[str, ...]

    @property
    def hours(self) -> float:
        """Of background."""
        return (
            sum(len(p) for s, p in zip(self.streams, self.probabilities, strict=True) if not s.event)
            * HOP
            / (3_600.0 * SAMPLE_RATE)
        )

    def split(self, sound: Sound, events: bool, names: bool) -> tuple[list[Samples], Samples]:
        """Scores of a sound, by the events head, by AudioSet's names, or the higher of both: [windows] of each stream
        of background, and the highest [n] of each of its recordings."""
        wanted = (*(sound.names if names else ()), *((sound.event,) if events else ()))
        columns = [self.labels.index(name) for name in wanted if name in self.labels]
        pairs = list(zip(self.streams, self.probabilities, strict=True))
        background = [p[:, columns].max(axis=1) for s, p in pairs if not s.event]
        return background, np.array([p[:, columns].max() for s, p in pairs if s.event == sound.event], np.float32)


def hear(listen: Listener, labels: Sequence[str], found: Sequence[Stream], title: str) -> Heard:
    """Have a model answer all streams."""
    answers = tuple(listen(stream).astype(np.float32) for stream in track(found, f"listen: {title}"))
    return Heard(tuple(found), answers, tuple(labels))


def figures(heard: Heard, events: bool = True, names: bool = True) -> dict[str, object]:
    """Recall at each rate of false alarms, for every sound with a threshold of its own, and with one for all."""
    sounds = [sound for sound in SOUNDS if any(stream.event == sound.event for stream in heard.streams)]
    parts = [heard.split(sound, events, names) for sound in sounds]
    recalls: dict[str, list[float]] = {}
    for rate in RATES:
        allowed = int(rate * heard.hours)
        recalls[f"{rate:g}"] = [float((f >= threshold([b], allowed)).mean()) for b, f in parts]
    shared = threshold([b for b, _ in parts], int(TOGETHER * heard.hours))
    together = [float((found >= shared).mean()) for _, found in parts]
    return {
        "recall": {rate: round(float(np.mean(each)), 4) for rate, each in recalls.items()},
        "one_threshold": round(float(np.mean(together)), 4),
        "sounds": {
            sound.event: [len(found), *(round(recalls[f"{rate:g}"][i], 3) for rate in RATES)]
            for i, (sound, (_, found)) in enumerate(zip(sounds, parts, strict=True))
        },
    }


class Rules:
    """The default rules, for a model with these labels."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._rules = resolve(DetectionConfig(), labels, WINDOW / SAMPLE_RATE, HOP / SAMPLE_RATE)
        self._told = {rule.label: {labels[index] for index in rule.classes} for rule in self._rules}
        self.labels = tuple(self._told)

    def of(self, event: str) -> set[str]:
        """Labels of the rules that tell of an event."""
        names = {event, *next(sound.names for sound in SOUNDS if sound.event == event)}
        return {label for label, classes in self._told.items() if classes & names}

    def fired(self, windows: Samples, probabilities: Samples) -> list[str]:
        """Labels of all detections in a stream of windows."""
        tracker = Tracker(self._rules, SAMPLE_RATE, HOP)
        return [
            change.label
            for number, (window, row) in enumerate(zip(windows, probabilities, strict=True))
            for change in tracker.update(as_live(window, number * HOP), Scores(row, None))
            if change.phase is Phase.STARTED
        ]


def by_rules(heard: Heard, corpus: Corpus) -> dict[str, object]:
    """What the default rules find, and how often an hour they misfire on background, Speech and Music left out."""
    rules = Rules(heard.labels)
    misfires = dict.fromkeys((label for label in rules.labels if label not in TALK), 0)
    found: dict[str, list[bool]] = {}
    for stream, probabilities in zip(heard.streams, heard.probabilities, strict=True):
        fired = rules.fired(stream.windows(corpus), probabilities)
        if not stream.event:
            for label in fired:
                if label in misfires:
                    misfires[label] += 1
        elif own := rules.of(stream.event):
            found.setdefault(stream.event, []).append(bool(own & set(fired)))
    return {
        "false_alarms_an_hour": round(sum(misfires.values()) / heard.hours, 2),
        "false_alarms": misfires,
        "recall": round(float(np.mean([np.mean(each) for each in found.values()])), 4) if found else None,
        "found": {event: [int(sum(each)), len(each)] for event, each in found.items()},
    }


def steadiness(listen: Listener, labels: Sequence[str], found: Sequence[Stream], corpus: Corpus) -> float:
    """Share of the places on the hop grid at which the default rules decide as they do at most places of a sound.

    Each sound of a home that has a rule is moved by a hop in steps of a twentieth of a second.
    """
    rules = Rules(labels)
    agreed = []
    for stream in track([each for each in found if each.event and rules.of(each.event)], "move sounds"):
        moved = [replace(stream, shift=shift) for shift in range(0, HOP, STEP)]
        decided = [bool(rules.of(each.event) & set(rules.fired(each.windows(corpus), listen(each)))) for each in moved]
        agreed.append(max(decided.count(True), decided.count(False)) / len(decided))
    return round(float(np.mean(agreed)), 4)


def as_live(samples: Samples, start: int) -> Window:
    """A window as the pipeline hands it to the tracker."""
    return Window("home", 0, start, SAMPLE_RATE, samples, datetime.fromtimestamp(0, UTC))


def measure(heard: Mapping[str, Heard], corpus: Corpus) -> dict[str, dict[str, object]]:
    """All figures of each model; through either of its heads too where it has two."""
    answer = {}
    for title, each in heard.items():
        answer[title] = {**figures(each), "rules": by_rules(each, corpus)}
        if EVENT_NAMES[0] in each.labels:
            answer[title]["names_alone"] = brief(figures(each, events=False))
            answer[title]["events_alone"] = brief(figures(each, names=False))
    return answer


def brief(found: Mapping[str, object]) -> dict[str, object]:
    """Figures without those of each sound."""
    return {key: value for key, value in found.items() if key != "sounds"}


def facts(heard: Heard) -> dict[str, object]:
    """What was measured on."""
    kinds = {stream.event for stream in heard.streams if stream.event}
    recordings = sum(bool(stream.event) for stream in heard.streams)
    return {"background_hours": round(heard.hours, 3), "recordings": recordings, "kinds": len(kinds)}
