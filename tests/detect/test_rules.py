"""Rules: presets filled in, and impossible ones refused with the arithmetic."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.schema import DEFAULT_RULES, Preset, RuleConfig
from monitor.detect.rules import PRESETS, resolve
from monitor.errors import ConfigError

LABELS = ("Shatter", "Breaking", "Siren", "Bark", "Dog")


def test_fills_in_the_preset_and_the_classes() -> None:
    """What is left out comes from the preset; classes become indices; the label stands for itself."""
    glass, siren = resolve(
        (
            RuleConfig(label="Glass", classes=("Breaking", "Shatter"), preset="impulsive", on=0.6),
            RuleConfig(label="Siren"),
        ),
        LABELS,
        window=0.975,
        hop=0.25,
    )
    assert glass.classes == (1, 0)
    assert (glass.on, glass.off, glass.hold) == (0.6, PRESETS["impulsive"].off, PRESETS["impulsive"].hold)
    assert siren.classes == (2,)
    assert siren.votes == PRESETS["sustained"].votes


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (RuleConfig(label="Syren"), "no class 'Syren'; did you mean 'Siren'"),
        (RuleConfig(label="Siren", on=0.3, off=0.4), r"off \(0.4\) must not be above on \(0.3\)"),
        (RuleConfig(label="Siren", on=0.6, strong=0.5), r"strong \(0.5\) must not be below on \(0.6\)"),
        (RuleConfig(label="Dog", preset="impulsive", votes=4), "show in 3 windows .* but votes asks for 4"),
        (RuleConfig(label="Dog", preset="impulsive", min_duration=1.0), "span 0.5 s, but min_duration asks for 1 s"),
        (RuleConfig(label="Dog", preset="impulsive", smoothing=2.0), "lets a score reach 0.31, not on"),
    ],
)
def test_refuses_what_makes_no_sense(rule: RuleConfig, words: str) -> None:
    """Each refusal says why, and names the rule."""
    with pytest.raises(ConfigError, match=words):
        resolve((rule,), LABELS, window=0.975, hop=0.25)


@pytest.mark.parametrize(("hop", "votes"), [(0.25, 2), (0.4, 2), (0.5, 1), (2.0, 1)])
def test_a_preset_asks_for_no_more_votes_than_there_are_windows(hop: float, votes: int) -> None:
    """A knock shows in every window that holds it: in one alone where windows hardly overlap."""
    (rule,) = resolve((RuleConfig(label="Dog", preset="impulsive"),), LABELS, 0.975, hop)
    assert rule.votes == votes


def test_default_rules_fit_any_model() -> None:
    """Of the defaults those stay whose classes the model has; a model that has none is used label by label."""
    resolved = resolve(DEFAULT_RULES, LABELS, 0.975, 0.25)
    assert [rule.label for rule in resolved] == ["Siren", "Glass breaking", "Dog"]
    assert [rule.label for rule in resolve(DEFAULT_RULES, ("My doorbell",), 0.975, 0.25)] == ["My doorbell"]


def test_default_rules_keep_their_own_thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A threshold in a default rule overrides the preset's, as in any other rule."""
    rules = (RuleConfig(label="Dog", classes=("Bark", "Howl"), preset="repetitive", on=0.7),)
    monkeypatch.setattr("monitor.detect.rules.DEFAULT_RULES", rules)
    [rule] = resolve(rules, LABELS, 0.975, 0.25)
    assert (rule.classes, rule.on) == ((3,), 0.7)


@given(
    preset=st.sampled_from(sorted(PRESETS)),
    votes=st.integers(1, 20),
    smoothing=st.floats(0, 5),
    min_duration=st.floats(0, 5),
    window=st.floats(0.5, 10),
    hop=st.floats(0.05, 2),
)
def test_a_rule_that_is_accepted_can_fire_on_the_shortest_sound(
    preset: Preset, votes: int, smoothing: float, min_duration: float, window: float, hop: float
) -> None:
    """Perfect scores over the windows that the shortest sound shows in satisfy every accepted rule."""
    config = RuleConfig(label="Dog", preset=preset, votes=votes, smoothing=smoothing, min_duration=min_duration)
    windows = max(1, math.floor((window + PRESETS[preset].shortest) / hop + 1e-9))
    smoothed = 1 - math.exp(-windows * hop / smoothing) if smoothing else 1.0
    possible = votes <= windows and min_duration <= (windows - 1) * hop and smoothed >= PRESETS[preset].on
    try:
        resolve((config,), LABELS, window, hop)
    except ConfigError:
        assert not possible
    else:
        assert possible
