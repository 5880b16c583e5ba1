"""Settings: the choices made at run time, and the rules that follow."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.schema import DetectionConfig, ProfileConfig, ProfileSoundConfig, RuleConfig
from monitor.control.settings import Choices, Override, Settings, with_threshold
from monitor.detect.rules import resolve
from monitor.errors import ConfigError
from monitor.messages import Rule

LABELS = ("Dog", "Speech", "Glass")
RULES = resolve(
    DetectionConfig(
        rules=(
            RuleConfig(label="Dog", preset="repetitive", on=0.6, off=0.4),
            RuleConfig(label="Speech"),
            RuleConfig(label="Glass", preset="impulsive"),
        )
    ),
    LABELS,
    window=0.975,
    hop=0.25,
)
NIGHT = ProfileConfig(
    name="night",
    sounds=(ProfileSoundConfig(label="Speech", enabled=False), ProfileSoundConfig(label="Dog", on=0.8)),
)


def settings(*profiles: ProfileConfig) -> Settings:
    """Settings for three sounds, with two profiles beside the default."""
    return Settings(RULES, profiles or (NIGHT, ProfileConfig(name="away")), ["Cat"])


def in_force(chosen: Settings) -> dict[str, float]:
    """The thresholds of the enabled sounds."""
    return {rule.label: rule.on for rule in chosen.rules}


def test_without_choices_the_configuration_applies() -> None:
    """At first the configured rules apply, and nothing is paused."""
    assert settings().rules == RULES
    assert settings().profiles == ("default", "night", "away")
    assert not settings().choices.paused


def test_a_profile_changes_some_sounds() -> None:
    """A profile disables one sound and changes one threshold; the default profile restores both."""
    chosen = settings()
    chosen.choose("night")
    assert in_force(chosen) == {"Dog": 0.8, "Glass": 0.5}
    assert not chosen.enabled("Speech")
    chosen.choose("default")
    assert chosen.rules == RULES


def test_a_change_belongs_to_its_profile() -> None:
    """A change applies whenever its profile is active, and in no other profile."""
    chosen = settings()
    chosen.choose("night")
    chosen.enable("Speech", True)
    chosen.set_threshold("Dog", 0.3)
    assert chosen.rule("Dog") == with_threshold(RULES[0], 0.3)
    chosen.set_threshold("Dog", 0.9)
    chosen.choose("away")
    assert chosen.rules == RULES
    chosen.choose("night")
    assert in_force(chosen) == {"Dog": 0.9, "Speech": 0.5, "Glass": 0.5}


def test_returning_to_the_configured_value_removes_the_change() -> None:
    """A value equal to the configured one is not kept, so a later configuration applies."""
    chosen = settings()
    chosen.enable("Dog", False)
    chosen.set_threshold("Dog", 0.3)
    chosen.set_threshold("Speech", 0.3)
    chosen.enable("Dog", True)
    assert chosen.choices.changes == {"default": {"Dog": Override(on=0.3), "Speech": Override(on=0.3)}}
    chosen.set_threshold("Dog", 0.6)
    chosen.set_threshold("Speech", 0.5)
    assert chosen.choices == Choices()


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        (("Dg", None), "profiles: x: no rule for 'Dg'; did you mean 'Dog'?"),
        (("Washing machine", None), "no rule for 'Washing machine'; known: Dog, Speech, Glass"),
        (("Speech", 1.0), "profiles: x: 'Speech' cannot reach a threshold of 1: smoothing limits its score to"),
    ],
)
def test_an_invalid_profile_is_an_error(profile: tuple[str, float | None], words: str) -> None:
    """The error names the profile; a rule that the model lacks the class for is allowed."""
    label, on = profile
    with pytest.raises(ConfigError) as caught:
        settings(ProfileConfig(name="x", sounds=(ProfileSoundConfig(label=label, on=on),)))
    assert words in str(caught.value)
    settings(ProfileConfig(name="x", sounds=(ProfileSoundConfig(label="Cat", on=0.9),)))


def test_restored_choices_apply_again() -> None:
    """Restoring the choices restores the rules."""
    first, second = settings(), settings()
    first.enable("Glass", False)
    first.choose("night")
    first.set_threshold("Dog", 0.7)
    first.pause(True)
    assert second.restore(first.choices) == []
    assert second.choices == first.choices
    assert second.rules == first.rules


@pytest.mark.parametrize(
    ("choices", "problem"),
    [
        (
            Choices(profile="gone"),
            "unknown profile 'gone'; choose one of default, night, away; using default",
        ),
        (Choices(changes={"default": {"Cow": Override(enabled=False)}}), "no rule for 'Cow'"),
        (Choices(changes={"default": {"Dog": Override(on=-1.0)}}), "the threshold of 'Dog' must be between 0 and 1"),
        (Choices(changes={"gone": {"Dog": Override(on=0.3)}}), "unknown profile 'gone'"),
    ],
)
def test_choices_that_no_longer_fit_are_dropped_and_reported(choices: Choices, problem: str) -> None:
    """A choice for a removed profile or sound is reported; the rest is restored."""
    chosen = settings()
    rest = {"night": {"Dog": Override(on=0.7)}}
    (message,) = chosen.restore(Choices(True, choices.profile, {**choices.changes, **rest}))
    assert problem in message
    assert chosen.choices == Choices(True, "default", rest)
    assert chosen.rules == RULES


@pytest.mark.parametrize(
    ("on", "off", "strong"),
    [(0.6, 0.4, 0.85), (0.9, 0.4, 0.9), (0.3, 0.2, 0.85), (0.0, 0.0, 0.85)],
)
def test_off_and_strong_follow_a_threshold(on: float, off: float, strong: float) -> None:
    """`off` keeps its proportion below the rule's threshold; `strong` is never below the new one."""
    rule = with_threshold(RULES[0], on)
    assert (rule.on, rule.off, rule.strong) == pytest.approx((on, off, strong))


@given(
    rule=st.sampled_from(RULES),
    on=st.floats() | st.floats(0, 1),
)
def test_a_threshold_is_an_error_or_makes_a_consistent_rule(rule: Rule, on: float) -> None:
    """A new threshold fulfils the same conditions as a configured one."""
    try:
        changed = with_threshold(rule, on)
    except ValueError:
        assert not 0 <= on <= rule.reach
    else:
        assert 0 <= changed.off <= changed.on <= changed.strong
        assert changed.on <= changed.reach


def test_rules_know_how_far_a_score_can_rise() -> None:
    """Without smoothing a score can reach 1, with smoothing less."""
    assert RULES[2].reach == 1.0
    assert 0.99 < RULES[1].reach < 1.0


ACTIONS = st.one_of(
    st.tuples(st.just("pause"), st.booleans()),
    st.tuples(st.just("choose"), st.sampled_from(["default", "night", "away"])),
    st.tuples(st.just("enable"), st.sampled_from(LABELS), st.booleans()),
    st.tuples(st.just("set_threshold"), st.sampled_from(LABELS), st.sampled_from([0.0, 0.3, 0.5, 0.6, 0.8])),
)


@given(st.lists(ACTIONS, max_size=20))
def test_all_choices_are_kept_over_a_restart(actions: list[tuple[Any, ...]]) -> None:
    """Any choices, restored, give the same rules; for each sound the last choice in its profile applies."""
    chosen, again = settings(), settings()
    for name, *arguments in actions:
        getattr(chosen, name)(*arguments)
        if name == "set_threshold":
            assert chosen.rule(arguments[0]).on == arguments[1]
        if name == "enable":
            assert chosen.enabled(arguments[0]) == arguments[1]
    assert again.restore(chosen.choices) == []
    for profile in chosen.profiles:
        chosen.choose(profile)
        again.choose(profile)
        assert again.rules == chosen.rules
