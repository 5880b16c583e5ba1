"""The settings that can be changed while the monitor runs: pause, profile, and each sound's switch and threshold.

Pure: rules and profiles of the configuration, and the choices made since; no file, no broker. A change to a sound
belongs to the profile that is active at the time, and returns with that profile.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct, structs

from monitor.config.schema import DEFAULT_PROFILE, ProfileConfig
from monitor.errors import ConfigError, suggestion
from monitor.messages import Rule


@dataclass(frozen=True, slots=True)
class _Sound:
    """How one sound is detected."""

    rule: Rule
    enabled: bool = True


class Override(Struct, frozen=True, omit_defaults=True):
    """Where one sound differs from the configuration; None where it does not."""

    enabled: bool | None = None
    on: float | None = None


class Choices(Struct, frozen=True, omit_defaults=True):
    """Everything chosen at run time; kept over a restart."""

    paused: bool = False
    profile: str = DEFAULT_PROFILE
    changes: dict[str, dict[str, Override]] = {}
    """By profile and label."""


class Settings:
    """The choices, and the rules that follow. An invalid choice raises `ValueError` and changes nothing."""

    def __init__(self, rules: Sequence[Rule], profiles: Sequence[ProfileConfig], passed_over: Sequence[str]) -> None:
        """`passed_over`: labels that a profile may name although they have no rule, because the model lacks the class.

        Raises `ConfigError` for any other unknown label, and for a threshold that no sound could reach.
        """
        plain = {rule.label: _Sound(rule) for rule in rules}
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
        """The rules of the enabled sounds."""
        return tuple(self.rule(label) for label in self.labels if self.enabled(label))

    @property
    def off(self) -> tuple[str, ...]:
        """Labels of the sounds that are not detected."""
        return tuple(label for label in self.labels if not self.enabled(label))

    @property
    def changed(self) -> tuple[str, ...]:
        """Labels of the sounds whose threshold was changed since the configuration was loaded."""
        return tuple(label for label in self.labels if self._override(label).on is not None)

    def rule(self, label: str) -> Rule:
        """The rule of this sound, enabled or not."""
        on = self._override(label).on
        return self._configured[self.choices.profile][label].rule if on is None else self._with_threshold(label, on)

    def enabled(self, label: str) -> bool:
        """Whether this sound is detected."""
        enabled = self._override(label).enabled
        return self._configured[self.choices.profile][label].enabled if enabled is None else enabled

    def pause(self, paused: bool) -> None:
        """Pause or resume listening."""
        self.choices = structs.replace(self.choices, paused=paused)

    def choose(self, profile: str) -> None:
        """Activate this profile."""
        if profile not in self._configured:
            raise ValueError(f"unknown profile {profile!r}; choose one of {', '.join(self.profiles)}")
        self.choices = structs.replace(self.choices, profile=profile)

    def enable(self, label: str, enabled: bool) -> None:
        """Switch this sound on or off in the active profile."""
        configured = self._configured[self.choices.profile][label].enabled
        self._change(label, enabled=None if enabled == configured else enabled)

    def set_threshold(self, label: str, on: float) -> None:
        """Set the score from which this sound is on, in the active profile."""
        configured = self._configured[self.choices.profile][label].rule.on
        self._change(label, on=None if on == configured else self._with_threshold(label, on).on)

    def restore(self, choices: Choices) -> list[str]:
        """Restore the choices made before a restart; return a message for each that does not fit the configuration."""
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
            problems.append(f"{error}; using {DEFAULT_PROFILE}")
        return problems

    def _restore(self, profile: str, label: str, change: Override) -> None:
        self.choose(profile)
        if label not in self.labels:
            raise ValueError(f"no rule for {label!r}")
        if change.on is not None:
            self.set_threshold(label, change.on)
        if change.enabled is not None:
            self.enable(label, change.enabled)

    def _with_threshold(self, label: str, on: float) -> Rule:
        """The configured rule with another threshold, whatever the profile."""
        return with_threshold(self._configured[DEFAULT_PROFILE][label].rule, on)

    @property
    def _overrides(self) -> Mapping[str, Override]:
        return self.choices.changes.get(self.choices.profile, {})

    def _override(self, label: str) -> Override:
        return self._overrides.get(label, Override())

    def _change(self, label: str, **values: bool | float | None) -> None:
        override = structs.replace(self._override(label), **values)
        others = {other: kept for other, kept in self._overrides.items() if other != label}
        changes = others if override == Override() else {**others, label: override}
        profiles = {name: kept for name, kept in self.choices.changes.items() if name != self.choices.profile}
        if changes:
            profiles[self.choices.profile] = changes
        self.choices = structs.replace(self.choices, changes=profiles)


def with_threshold(rule: Rule, on: float) -> Rule:
    """The rule with another threshold. Raises `ValueError` for a threshold that no sound could reach."""
    if not 0.0 <= on <= 1.0:
        raise ValueError(f"the threshold of {rule.label!r} must be between 0 and 1, not {on:g}")
    if on > max(rule.on, rule.reach):
        raise ValueError(
            f"{rule.label!r} cannot reach a threshold of {on:g}: smoothing limits its score to {rule.reach:.2f}"
        )
    return rule.with_threshold(on)


def _changed(profile: ProfileConfig, plain: Mapping[str, _Sound], passed_over: Sequence[str]) -> dict[str, _Sound]:
    """The sounds that the profile changes."""
    changed = {}
    for sound in profile.sounds:
        if sound.label in plain:
            rule = plain[sound.label].rule
            try:
                changed[sound.label] = _Sound(
                    rule if sound.on is None else with_threshold(rule, sound.on), sound.enabled
                )
            except ValueError as error:
                raise ConfigError(f"profiles: {profile.name}: {error}") from error
        elif sound.label not in passed_over:
            hint = suggestion(sound.label, plain, cutoff=0.6)
            raise ConfigError(f"profiles: {profile.name}: no rule for {sound.label!r}; {hint}")
    return changed
