"""What a person may change while the monitor runs: pause, profile, and which sounds are detected from which score on.

Pure: knows the rules and profiles of the configuration and what was chosen since, no file and no broker. A change to a
sound belongs to the profile that is in force at the time, and is found again when that profile is chosen again.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct, structs

from monitor.config.schema import DEFAULT_PROFILE, ProfileConfig
from monitor.errors import ConfigError
from monitor.messages import Rule


@dataclass(frozen=True, slots=True)
class Sound:
    """How one sound is detected."""

    rule: Rule
    enabled: bool = True


class Change(Struct, frozen=True, omit_defaults=True):
    """Where one sound departs from the configuration; None where it does not."""

    enabled: bool | None = None
    on: float | None = None


class Choices(Struct, frozen=True, omit_defaults=True):
    """All that was chosen: what outlasts a restart."""

    paused: bool = False
    profile: str = DEFAULT_PROFILE
    changes: dict[str, dict[str, Change]] = {}
    """By profile and label."""


class Settings:
    """The choices, and what follows from them. A choice that makes no sense raises `ValueError` and changes nothing."""

    def __init__(self, rules: Sequence[Rule], profiles: Sequence[ProfileConfig], passed_over: Sequence[str]) -> None:
        """`passed_over`: labels that a profile may name although there is no rule for them, for want of a class in the
        model. Raises `ConfigError` for any other, and for a threshold that no sound could reach."""
        plain = {rule.label: Sound(rule) for rule in rules}
        self._configured = {DEFAULT_PROFILE: plain}
        for profile in profiles:
            self._configured[profile.name] = plain | _changed(profile, plain, passed_over)
        self.choices = Choices()

    @property
    def profiles(self) -> tuple[str, ...]:
        """Names of the profiles, the default first."""
        return tuple(self._configured)

    @property
    def labels(self) -> tuple[str, ...]:
        """The sounds that can be set."""
        return tuple(self._configured[DEFAULT_PROFILE])

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules in force: those of the enabled sounds."""
        sounds = map(self.sound, self.labels)
        return tuple(sound.rule for sound in sounds if sound.enabled)

    def sound(self, label: str) -> Sound:
        """How this sound is detected now."""
        change = self._changes.get(label, Change())
        sound = self._configured[self.choices.profile][label]
        return Sound(
            sound.rule if change.on is None else with_threshold(self._plain(label), change.on),
            sound.enabled if change.enabled is None else change.enabled,
        )

    def pause(self, paused: bool) -> None:
        """Stop listening, or go on."""
        self.choices = structs.replace(self.choices, paused=paused)

    def choose(self, profile: str) -> None:
        """Put this profile in force."""
        if profile not in self._configured:
            raise ValueError(f"there is no profile {profile!r}: choose one of {', '.join(self.profiles)}")
        self.choices = structs.replace(self.choices, profile=profile)

    def enable(self, label: str, enabled: bool) -> None:
        """Detect this sound, or not, in the profile in force."""
        configured = self._configured[self.choices.profile][label].enabled
        self._change(label, enabled=None if enabled == configured else enabled)

    def set_threshold(self, label: str, on: float) -> None:
        """The score from which this sound is on in the profile in force."""
        configured = self._configured[self.choices.profile][label].rule.on
        self._change(label, on=None if on == configured else with_threshold(self._plain(label), on).on)

    def restore(self, choices: Choices) -> list[str]:
        """Take up what was chosen before a restart; returns what no longer fits the configuration and is left out."""
        self.choices, problems = Choices(paused=choices.paused), []
        for profile, changes in choices.changes.items():
            for label, change in changes.items():
                try:
                    self._restore(profile, label, change)
                except ValueError as error:
                    problems.append(str(error))
        try:
            self.choose(choices.profile)
        except ValueError as error:
            self.choose(DEFAULT_PROFILE)
            problems.append(f"{error}; {DEFAULT_PROFILE} is in force")
        return problems

    def _restore(self, profile: str, label: str, change: Change) -> None:
        self.choose(profile)
        if label not in self.labels:
            raise ValueError(f"there is no rule for {label!r}")
        if change.on is not None:
            self.set_threshold(label, change.on)
        if change.enabled is not None:
            self.enable(label, change.enabled)

    def _plain(self, label: str) -> Rule:
        """The rule as it is configured, from which every threshold departs."""
        return self._configured[DEFAULT_PROFILE][label].rule

    @property
    def _changes(self) -> Mapping[str, Change]:
        return self.choices.changes.get(self.choices.profile, {})

    def _change(self, label: str, **values: bool | float | None) -> None:
        change = structs.replace(self._changes.get(label, Change()), **values)
        others = {other: kept for other, kept in self._changes.items() if other != label}
        changes = others if change == Change() else {**others, label: change}
        profiles = {name: kept for name, kept in self.choices.changes.items() if name != self.choices.profile}
        if changes:
            profiles[self.choices.profile] = changes
        self.choices = structs.replace(self.choices, changes=profiles)


def with_threshold(rule: Rule, on: float) -> Rule:
    """Return `rule.with_threshold(on)`. Raises `ValueError` for a threshold that no sound could reach."""
    if not 0.0 <= on <= 1.0:
        raise ValueError(f"the threshold of {rule.label!r} must lie between 0 and 1, not at {on:g}")
    if on > max(rule.on, rule.reach):
        raise ValueError(
            f"{rule.label!r} could never fire from {on:g} on: smoothing lets its score reach {rule.reach:.2f}"
        )
    return rule.with_threshold(on)


def _changed(profile: ProfileConfig, plain: Mapping[str, Sound], passed_over: Sequence[str]) -> dict[str, Sound]:
    """The sounds that the profile changes."""
    changed = {}
    for sound in profile.sounds:
        if sound.label in plain:
            rule = plain[sound.label].rule
            try:
                changed[sound.label] = Sound(
                    rule if sound.on is None else with_threshold(rule, sound.on), sound.enabled
                )
            except ValueError as error:
                raise ConfigError(f"profiles: {profile.name}: {error}") from error
        elif sound.label not in passed_over:
            near = difflib.get_close_matches(sound.label, plain, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(plain) or 'none'}"
            raise ConfigError(f"profiles: {profile.name}: there is no rule for {sound.label!r}; {hint}")
    return changed
