"""Finds sounds in the scores of one source: smoothing, then hysteresis with votes, for each rule. No clock, no I/O.

A rule fires at once on strong evidence; weak evidence requires the smoothed score at `on`, enough votes and enough
time. The sound ends when the score stays below `off` for `hold`, and the rule cannot fire again within `cooldown`. All
times are sample indices, so dropped windows and a busy machine do not affect them.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from monitor.detect.cadence_detector import CadenceDetector
from monitor.detect.onset import find_onset
from monitor.messages import Cadence, Phase, Rule, Samples, Scores, Transition, Window


@dataclass(slots=True)
class _State:
    """State of one rule. Times are sample indices."""

    active: bool = False
    start: int | None = None
    """Onset of the sound that is on or collects votes."""
    peak: float = 0.0
    loud_until: int = 0
    """End of the last window at or above `off`."""
    votes: deque[int] = field(default_factory=deque)
    """Ends of the recent windows at or above `on`."""
    quiet_until: int = 0
    """End of the cooldown."""


class Tracker:
    """Applies all rules to one source, over any number of epochs."""

    def __init__(self, rules: Sequence[Rule], rate: int, hop: int) -> None:
        """`rate` in Hz, `hop` in samples. `revise` can use only the cadences of these rules."""
        self._rate, self._hop = rate, hop
        self._cadences: tuple[Cadence, ...] = tuple(dict.fromkeys(each for rule in rules for each in rule.cadences))
        self._beeps = CadenceDetector(self._cadences, rate) if self._cadences else None
        self._end: int | None = None
        self._window = 0
        self._set_rules(rules)
        self._begin_epoch()

    @property
    def active(self) -> frozenset[str]:
        """Labels of the sounds that are on."""
        return frozenset(rule.label for rule, state in zip(self._rules, self._states, strict=True) if state.active)

    def revise(self, rules: Sequence[Rule]) -> list[Transition]:
        """Replace the rules; labels must be unique. Return the ends of sounds that no longer have a rule.

        A rule that stays keeps its smoothed score, and its sound stays on. A changed rule collects its votes again.
        """
        end, scores = self._end, self._smoother.value
        before = {old[0].label: old for old in zip(self._rules, self._states, scores, strict=True)}
        self._set_rules(rules)
        self._begin_epoch()
        self._end = end
        for i, rule in enumerate(self._rules):
            if rule.label in before:
                old, state, self._smoother.value[i] = before.pop(rule.label)
                unchanged = old == rule or state.active
                self._states[i] = state if unchanged else _State(quiet_until=state.quiet_until)
        return [
            self._ended(rule, state, self._cut_off(state, end), score)
            for rule, state, score in before.values()
            if state.active and end is not None
        ]

    def update(self, window: Window, scores: Scores) -> list[Transition]:
        """Return what the scores of this window change. Windows of one epoch must come in order."""
        elapsed = self._hop if self._end is None else window.end - self._end
        self._end, self._window = window.end, len(window.samples)
        if not self._rules:
            return []
        probabilities = scores.probabilities
        if self._beeps is not None:
            probabilities = np.concatenate((probabilities, self._beeps.follow(window)))
        raw: Samples = np.maximum.reduceat(probabilities[self._classes], self._firsts)
        smoothed = self._smoother.update(raw, elapsed / self._rate)
        changes: list[Transition] = []
        for i in self._awake(raw):
            rule, state = self._rules[i], self._states[i]
            alarm = self._alarm(rule, probabilities)
            change = self._step(rule, state, float(raw[i]), float(smoothed[i]), window, alarm)
            if change is not None:
                changes.append(change)
        return changes

    def finish(self, end: int) -> list[Transition]:
        """End the epoch at sample `end`. Return the ends of all sounds that are on."""
        changes = [
            self._ended(rule, state, self._cut_off(state, end), score)
            for rule, state, score in zip(self._rules, self._states, self._smoother.value, strict=True)
            if state.active
        ]
        self._begin_epoch()
        if self._beeps is not None:
            self._beeps.reset()
        return changes

    def _set_rules(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        columns = [[*rule.classes, *map(self._column, rule.cadences)] for rule in rules]
        self._classes = np.array([index for each in columns for index in each], np.intp)
        self._firsts = np.cumsum([0] + [len(each) for each in columns[:-1]]) if rules else np.zeros(0, np.intp)
        self._on = np.array([rule.on for rule in rules], np.float32)

    def _begin_epoch(self) -> None:
        self._smoother = Smoother(np.array([rule.smoothing for rule in self._rules], np.float32))
        self._states = [_State() for _ in self._rules]
        self._end = None

    def _awake(self, raw: Samples) -> list[int]:
        """Return the indices of rules with something to decide; usually none."""
        loud = raw >= self._on
        return [i for i, state in enumerate(self._states) if loud[i] or state.start is not None]

    def _column(self, cadence: Cadence) -> int:
        """Return the index of a cadence's score, counted from the end of the probabilities."""
        return self._cadences.index(cadence) - len(self._cadences)

    def _alarm(self, rule: Rule, probabilities: Samples) -> tuple[int, int] | None:
        """Return the first and last sample of an alarm that a cadence alone finds."""
        if self._beeps is None or any(probabilities[index] >= rule.off for index in rule.classes):
            return None
        found = [each for each in rule.cadences if probabilities[self._column(each)] >= rule.off]
        return self._beeps.span(self._cadences.index(found[0])) if found else None

    def _step(
        self,
        rule: Rule,
        state: _State,
        raw: float,
        smoothed: float,
        window: Window,
        alarm: tuple[int, int] | None,
    ) -> Transition | None:
        end = window.end
        if raw >= rule.on:
            if state.start is None:
                state.start = alarm[0] if alarm else self._onset(window)
            state.votes.append(end)
        if raw >= rule.off:
            state.loud_until = alarm[1] + len(window.samples) // 2 if alarm else end
        state.peak = max(state.peak, raw)
        if state.active:
            if smoothed >= rule.off or end - state.loud_until < rule.hold * self._rate:
                return None
            return self._ended(rule, state, self._offset(state), smoothed)
        self._forget_votes(rule, state, window)
        if state.start is not None and end > state.quiet_until and self._convinced(rule, state, raw, smoothed, end):
            state.active = True
            return Transition(
                rule.label,
                Phase.STARTED,
                state.start,
                None,
                round(max(smoothed, raw), 4),
                round(state.peak, 4),
            )
        return None

    def _convinced(self, rule: Rule, state: _State, raw: float, smoothed: float, end: int) -> bool:
        if raw >= rule.strong:
            return True
        lasted = end - state.votes[0] if state.votes else 0
        return smoothed >= rule.on and len(state.votes) >= rule.votes and lasted >= rule.min_duration * self._rate

    def _forget_votes(self, rule: Rule, state: _State, window: Window) -> None:
        """Drop old votes. They count for one window, 2 * `votes` hops or `min_duration`, whichever is longest."""
        span = max(len(window.samples), 2 * rule.votes * self._hop, round(rule.min_duration * self._rate) + self._hop)
        while state.votes and state.votes[0] <= window.end - span:
            state.votes.popleft()
        if not state.votes:
            state.start, state.peak = None, 0.0

    def _onset(self, window: Window) -> int:
        """Return the start of the sound: its onset, or the middle of its first window without a clear rise in level."""
        at = find_onset(window.samples, self._rate)
        return window.start + (len(window.samples) // 2 if at is None else at)

    def _offset(self, state: _State) -> int:
        """Return the end of the sound: the middle of the last window at or above `off`."""
        return max((state.start or 0) + 1, state.loud_until - self._window // 2)

    def _cut_off(self, state: _State, end: int) -> int:
        """Return the end of a sound that is cut off at `end`: `end` if the last window was at or above `off`."""
        return end if state.loud_until == self._end else self._offset(state)

    def _ended(self, rule: Rule, state: _State, end: int, smoothed: float) -> Transition:
        start = state.start if state.start is not None else end
        change = Transition(
            rule.label,
            Phase.ENDED,
            start,
            max(start + 1, end),
            round(float(smoothed), 4),
            round(state.peak, 4),
        )
        state.active, state.start, state.peak = False, None, 0.0
        state.votes.clear()
        state.quiet_until = end + round(rule.cooldown * self._rate)
        return change


class Smoother:
    """First-order low-pass of scores: `s += (1 - exp(-dt / tau)) * (p - s)`, from 0.

    Time constants in seconds make the result independent of dropped windows.
    """

    def __init__(self, time_constants: Samples) -> None:
        """`time_constants`: float32[n] seconds; 0 disables smoothing."""
        self._tau = np.maximum(time_constants, 1e-9)
        self.value: Samples = np.zeros_like(time_constants)

    def update(self, scores: Samples, dt: float) -> Samples:
        """Add float32[n] scores, `dt` seconds after the last; return the smoothed scores."""
        self.value = self.value + (1 - np.exp(-dt / self._tau)).astype(np.float32) * (scores - self.value)
        return self.value
