"""Rules: presets, and errors for rules that can never fire."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.schema import CadenceConfig, DetectionConfig, Preset, RuleConfig
from monitor.detect.rules import PRESETS, resolve
from monitor.errors import ConfigError

LABELS = ("Shatter", "Breaking", "Siren", "Bark", "Dog")


def test_presets_and_classes_are_filled_in() -> None:
    """Missing values come from the preset; classes become indices, by default that of the label."""
    glass, siren = resolve(
        DetectionConfig(
            rules=(
                RuleConfig(label="Glass", classes=("Breaking", "Shatter"), preset="impulsive", on=0.6),
                RuleConfig(label="Siren"),
            )
        ),
        LABELS,
        window=0.975,
        hop=0.25,
    )
    assert glass.classes == (1, 0)
    assert (glass.on, glass.off, glass.hold) == (0.6, PRESETS["impulsive"].off, PRESETS["impulsive"].hold)
    assert siren.classes == (2,)
    assert siren.votes == PRESETS["sustained"].votes


@pytest.mark.parametrize(("on", "off", "strong"), [(0.2, 0.1, 0.9), (0.5, 0.25, 0.9), (0.95, 0.25, 0.95)])
def test_off_and_strong_follow_the_threshold(on: float, off: float, strong: float) -> None:
    """`off` falls with `on` in proportion and `strong` is never below it; configured values take precedence."""
    [rule] = resolve(DetectionConfig(rules=(RuleConfig(label="Siren", on=on),)), LABELS, window=0.975, hop=0.25)
    assert (rule.on, rule.off, rule.strong) == (on, off, strong)
    [rule] = resolve(
        DetectionConfig(rules=(RuleConfig(label="Siren", on=on, off=0.05, strong=0.99),)),
        LABELS,
        window=0.975,
        hop=0.25,
    )
    assert (rule.on, rule.off, rule.strong) == (on, 0.05, 0.99)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (RuleConfig(label="Syren"), "no class 'Syren'; did you mean 'Siren'"),
        (RuleConfig(label="Siren", on=0.3, off=0.4), r"off \(0.4\) must not be above on \(0.3\)"),
        (RuleConfig(label="Siren", on=0.6, strong=0.5), r"strong \(0.5\) must not be below on \(0.6\)"),
        (RuleConfig(label="Dog", preset="impulsive", votes=4), "appear in 3 windows .* but votes requires 4"),
        (RuleConfig(label="Dog", preset="impulsive", min_duration=1.0), "span 0.5 s, but min_duration requires 1 s"),
        (RuleConfig(label="Dog", preset="impulsive", smoothing=2.0), "limits the score to 0.31, below on"),
    ],
)
def test_an_impossible_rule_is_an_error(rule: RuleConfig, words: str) -> None:
    """The error names the rule and the reason."""
    with pytest.raises(ConfigError, match=words):
        resolve(DetectionConfig(rules=(rule,)), LABELS, window=0.975, hop=0.25)


@pytest.mark.parametrize("part", ["Smoke detector", "smoke alarm"])
def test_a_class_with_a_comma_needs_quotes(part: str) -> None:
    """Half of a name with a comma, as YAML reads it without quotes, is answered with the quoted name."""
    labels = ("Smoke alarms", "Smoke detector, smoke alarm")
    problem = f"the model has no class '{part}'; a name with a comma needs quotes: \"Smoke detector, smoke alarm\""
    with pytest.raises(ConfigError, match=problem):
        resolve(DetectionConfig(rules=(RuleConfig(label="Alarm", classes=(part,)),)), labels, 0.975, 0.25)


@pytest.mark.parametrize(("hop", "votes"), [(0.25, 2), (0.4, 2), (0.5, 1), (2.0, 1)])
def test_votes_of_a_preset_fit_the_number_of_windows(hop: float, votes: int) -> None:
    """With little overlap a knock is in one window only, so one vote is enough."""
    (rule,) = resolve(DetectionConfig(rules=(RuleConfig(label="Dog", preset="impulsive"),)), LABELS, 0.975, hop)
    assert rule.votes == votes


def test_default_rules_fit_any_model() -> None:
    """Those with known classes are kept, alarm patterns included; if the model has none, each label gets a rule."""
    resolved = resolve(DetectionConfig(), LABELS, 0.975, 0.25)
    assert [rule.label for rule in resolved] == ["Smoke alarm", "CO alarm", "Siren", "Glass breaking", "Dog"]
    assert [rule.label for rule in resolve(DetectionConfig(), ("My doorbell",), 0.975, 0.25)] == ["My doorbell"]


def test_a_configured_cadence_without_a_rule_gets_one() -> None:
    """With a rule that names it, that rule has it beside its classes."""
    washed = CadenceConfig(label="Washed", beeps=5, on=0.4, off=0.6, pitch=2000.0)
    *_, rule = resolve(DetectionConfig(cadences=(washed,)), LABELS, 0.975, 0.25)
    assert (rule.label, rule.classes, rule.class_names(LABELS)) == ("Washed", (), ["Washed"])
    assert rule.cadences[0].bands == ((1940.0, 2060.0),)
    named = RuleConfig(label="Laundry", classes=("Washed", LABELS[0]))
    (rule,) = resolve(DetectionConfig(rules=(named,), cadences=(washed,)), LABELS, 0.975, 0.25)
    assert (rule.label, rule.classes, rule.class_names(LABELS)) == ("Laundry", (0,), [LABELS[0], "Washed"])


def test_default_rules_keep_their_own_thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A threshold in a default rule overrides the preset's, as in any other rule."""
    rules = (RuleConfig(label="Dog", classes=("Bark", "Howl"), preset="repetitive", on=0.7),)
    monkeypatch.setattr("monitor.detect.rules.DEFAULT_RULES", rules)
    [rule] = resolve(DetectionConfig(rules=rules), LABELS, 0.975, 0.25)
    assert (rule.classes, rule.on) == ((3,), 0.7)


@given(
    preset=st.sampled_from(sorted(PRESETS)),
    votes=st.integers(1, 20),
    smoothing=st.floats(0, 5),
    min_duration=st.floats(0, 5),
    window=st.floats(0.5, 10),
    hop=st.floats(0.05, 2),
)
def test_an_accepted_rule_can_fire_on_the_shortest_sound(
    preset: Preset, votes: int, smoothing: float, min_duration: float, window: float, hop: float
) -> None:
    """Perfect scores in all windows of the shortest sound satisfy every accepted rule."""
    config = RuleConfig(label="Dog", preset=preset, votes=votes, smoothing=smoothing, min_duration=min_duration)
    windows = max(1, math.floor((window + PRESETS[preset].shortest) / hop + 1e-9))
    smoothed = 1 - math.exp(-windows * hop / smoothing) if smoothing else 1.0
    possible = votes <= windows and min_duration <= (windows - 1) * hop and smoothed >= PRESETS[preset].on
    try:
        resolve(DetectionConfig(rules=(config,)), LABELS, window, hop)
    except ConfigError:
        assert not possible
    else:
        assert possible
