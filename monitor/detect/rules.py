"""Completes configured rules for the tracker, and refuses rules that could never fire."""

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from monitor.config.schema import DEFAULT_RULES, CadenceConfig, DetectionConfig, Preset, RuleConfig
from monitor.detect.cadence import CADENCES
from monitor.errors import ConfigError
from monitor.messages import Cadence, Rule

PITCH_TOLERANCE = 0.03
"""Share of its pitch by which a configured cadence may be off."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """The values of a preset. Probabilities and seconds, as in `Rule`."""

    on: float
    off: float
    strong: float
    smoothing: float
    votes: int
    min_duration: float
    hold: float
    cooldown: float
    shortest: float
    """The shortest intended sound, which must be able to fire."""


PRESETS: dict[Preset, Defaults] = {
    "impulsive": Defaults(
        on=0.5,
        off=0.25,
        strong=0.7,
        smoothing=0.0,
        votes=2,
        min_duration=0.0,
        hold=1.0,
        cooldown=2.0,
        shortest=0.0,
    ),
    "repetitive": Defaults(
        on=0.5,
        off=0.25,
        strong=0.85,
        smoothing=0.2,
        votes=2,
        min_duration=0.0,
        hold=2.0,
        cooldown=2.0,
        shortest=0.2,
    ),
    "sustained": Defaults(
        on=0.5,
        off=0.25,
        strong=0.9,
        smoothing=0.4,
        votes=3,
        min_duration=0.5,
        hold=1.5,
        cooldown=2.0,
        shortest=2.0,
    ),
}


def resolve(detection: DetectionConfig, labels: Sequence[str], window: float, hop: float) -> tuple[Rule, ...]:
    """Fill in presets and class indices for a model with these `labels`; `window` and `hop` in seconds.

    Cadences are classes beside the model's; a configured one that no rule uses gets a rule. Raises `ConfigError` for an
    unknown class, for contradictory thresholds, and for a rule that the preset's shortest sound could never satisfy. Of
    the default rules, only those with known classes are kept; if the model has none of them, each of its labels gets a
    rule.
    """
    cadences = {cadence.label: cadence for cadence in (*CADENCES, *map(_cadence, detection.cadences))}
    rules: Sequence[RuleConfig] = detection.rules
    if detection.rules == DEFAULT_RULES:
        names = {*labels, *cadences}
        known = [structs.replace(rule, classes=tuple(name for name in rule.classes if name in names)) for rule in rules]
        if any(name in labels for rule in known for name in rule.classes):
            rules = [rule for rule in known if rule.classes]
        else:
            rules = [RuleConfig(label=label) for label in labels]
    used = {name for rule in rules for name in (rule.label, *rule.classes)}
    own = [RuleConfig(label=cadence.label) for cadence in detection.cadences if cadence.label not in used]
    return tuple(_resolve(rule, labels, cadences, window, hop) for rule in (*rules, *own))


def _cadence(config: CadenceConfig) -> Cadence:
    band = ((1 - PITCH_TOLERANCE) * config.pitch, (1 + PITCH_TOLERANCE) * config.pitch)
    return Cadence(config.label, config.beeps, config.on, config.off, config.pause, (band,))


def _resolve(
    config: RuleConfig, labels: Sequence[str], cadences: Mapping[str, Cadence], window: float, hop: float
) -> Rule:
    preset = PRESETS[config.preset]
    names = config.classes or (config.label,)

    def value(name: str) -> float:
        configured = getattr(config, name)
        return float(getattr(preset, name) if configured is None else configured)

    rule = Rule(
        label=config.label,
        classes=tuple(_index(name, labels, config.label) for name in names if name not in cadences),
        cadences=tuple(cadences[name] for name in names if name in cadences),
        on=preset.on,
        off=preset.off,
        strong=preset.strong,
        smoothing=value("smoothing"),
        votes=config.votes or min(preset.votes, _windows(preset.shortest, window, hop)),
        min_duration=value("min_duration"),
        hold=value("hold"),
        cooldown=value("cooldown"),
    ).with_threshold(value("on"))
    rule = replace(
        rule,
        off=rule.off if config.off is None else config.off,
        strong=rule.strong if config.strong is None else config.strong,
    )
    if rule.off > rule.on:
        raise ConfigError(f"detection.rules: {rule.label!r}: off ({rule.off:g}) must not be above on ({rule.on:g})")
    if rule.strong < rule.on:
        raise ConfigError(
            f"detection.rules: {rule.label!r}: strong ({rule.strong:g}) must not be below on ({rule.on:g})"
        )
    return _checked(rule, config.preset, preset.shortest, window, hop)


def _windows(shortest: float, window: float, hop: float) -> int:
    """Return the number of windows that contain at least a part of a sound of `shortest` seconds."""
    return max(1, math.floor((window + shortest) / hop + 1e-9))


def _index(name: str, labels: Sequence[str], label: str) -> int:
    if name in labels:
        return labels.index(name)
    if whole := next((other for other in labels if name in other.split(", ")), None):
        problem = f'the model has no class {name!r}; a name with a comma needs quotes: "{whole}"'
        raise ConfigError(f"detection.rules: {label!r}: {problem}")
    near = difflib.get_close_matches(name, labels, n=3, cutoff=0.5)
    near += [other for other in labels if name.lower() in other.lower() and other not in near][:3]
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else "; `sound-monitor models --labels` lists them"
    raise ConfigError(f"detection.rules: {label!r}: the model has no class {name!r}{hint}")


def _checked(rule: Rule, preset: Preset, shortest: float, window: float, hop: float) -> Rule:
    """Return the rule with its `reach`. Raises `ConfigError` if the windows of the shortest sound cannot satisfy it."""
    windows = _windows(shortest, window, hop)
    lasting = (windows - 1) * hop
    reached = 1 - math.exp(-windows * hop / rule.smoothing) if rule.smoothing else 1.0
    shown = f"{preset} sounds of {shortest:g} s appear in {windows} windows of {window:g} s, one every {hop:g} s"
    if rule.votes > windows:
        problem = f"but votes requires {rule.votes}"
    elif rule.min_duration > lasting:
        problem = f"which span {lasting:g} s, but min_duration requires {rule.min_duration:g} s"
    elif reached < rule.on:
        problem = f"where smoothing of {rule.smoothing:g} s limits the score to {reached:.2f}, below on ({rule.on:g})"
    else:
        return replace(rule, reach=reached)
    raise ConfigError(f"detection.rules: {rule.label!r} can never fire: {shown}, {problem}")
