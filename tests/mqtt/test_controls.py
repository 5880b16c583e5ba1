"""The controls: what can be set, and where."""

from monitor.mqtt.controls import Kind, Role, controls


def test_every_sound_has_a_switch_and_a_threshold() -> None:
    """Below topics made of its slug; pause comes first."""
    found = controls("home/sounds", "box", ["Dog", "Baby crying"], ["default"])
    assert [(control.key, control.kind, control.label) for control in found] == [
        ("pause", Kind.SWITCH, None),
        ("dog/enabled", Kind.SWITCH, "Dog"),
        ("dog/threshold", Kind.NUMBER, "Dog"),
        ("baby_crying/enabled", Kind.SWITCH, "Baby crying"),
        ("baby_crying/threshold", Kind.NUMBER, "Baby crying"),
    ]
    assert found[1].command_topic == "home/sounds/box/set/dog/enabled"
    assert found[1].state_topic == "home/sounds/box/setting/dog/enabled"


def test_a_profile_can_be_selected_where_there_is_a_choice() -> None:
    """Its options are all profiles."""
    (profile,) = (c for c in controls("p", "box", ["Dog"], ["default", "night"]) if c.role is Role.PROFILE)
    assert (profile.kind, profile.options, profile.state_topic) == (
        Kind.SELECT,
        ("default", "night"),
        "p/box/setting/profile",
    )


def test_no_two_controls_share_a_topic() -> None:
    """Also where sounds are called like the other controls, or nearly like each other."""
    found = controls("p", "box", ["pause", "profile", "Dog", "dog!", "犬"], ["default", "night"])
    assert len({control.command_topic for control in found} | {control.state_topic for control in found}) == 24
