"""The keys of the configuration, and config.yaml, which explains all of them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import msgspec
import pytest
import yaml

from monitor.config.load import load_config, parse_config
from monitor.config.schema import Config, EventsConfig, Section, TlsConfig
from monitor.detect.rules import PRESETS
from monitor.errors import ConfigError

SHIPPED = Path(__file__).parents[2] / "config.yaml"


def with_examples() -> str:
    """The shipped file with every example enabled, but only one of the two passwords."""
    switched_on = re.sub(r"^( *)#(?= *(?:- )?[a-z_]+:(?: |$))", r"\1", SHIPPED.read_text(), flags=re.MULTILINE)
    return re.sub(r"^ *password: .*\n", "", switched_on, flags=re.MULTILINE)


def keys(section: type[Section], path: str = "") -> Iterator[str]:
    """The path of every key of the schema."""
    for key, hint in get_type_hints(section).items():
        yield path + key
        for kind in (hint, *get_args(hint)):
            if isinstance(kind, type) and issubclass(kind, Section):
                yield from keys(kind, f"{path}{key}.")


def keys_in(node: yaml.Node | None, path: str = "") -> Iterator[str]:
    """The path of every key in a document."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from keys_in(item, path)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield path + key.value
            yield from keys_in(value, f"{path}{key.value}.")


def test_the_shipped_file_is_the_defaults() -> None:
    """config.yaml as shipped has the defaults, and nothing else."""
    assert load_config(str(SHIPPED)) == Config()


def test_the_shipped_file_names_every_key() -> None:
    """config.yaml has each key of the schema, enabled or as an example, and no other."""
    named = {key for key in keys_in(yaml.compose(with_examples())) if not key.startswith("model.prompts.")}
    assert named == set(keys(Config)) - {"mqtt.password"}
    assert "#password: " in SHIPPED.read_text()


def test_the_examples_in_the_shipped_file_are_valid() -> None:
    """Every example in config.yaml can be enabled as it is."""
    config = parse_config(with_examples().replace("enabled: false", "enabled: true"))
    assert config.node == "hallway"
    assert len(config.sources) == 4
    assert config.sources[1].loop
    assert config.detection.rules[-1].classes == ("Beep, bleep",)


def test_the_shipped_file_lists_the_values_of_the_presets() -> None:
    """The table of presets in config.yaml has the values that rules get."""
    columns = ("on", "off", "strong", "smoothing", "votes", "min_duration", "hold", "cooldown")
    listed = re.findall(
        r"^#   (impulsive|repetitive|sustained)  .*?  ((?: *[0-9.]+){8})$", SHIPPED.read_text(), re.MULTILINE
    )
    numbers = {preset: [float(number) for number in row.split()] for preset, row in listed}
    assert numbers == {
        preset: [float(getattr(values, column)) for column in columns] for preset, values in PRESETS.items()
    }


def test_prompts_replace_the_default_rules() -> None:
    """Each prompt gets a rule in place of the default rules; rules of the user's own stay."""
    prompts = "{prompts: {Speech: [people talking], glass: [a glass breaking]}}"
    assert [rule.label for rule in parse_config(f"model: {prompts}").detection.rules] == ["Speech", "glass"]
    shipped = re.sub(r"^  #(?=prompts)", "  ", SHIPPED.read_text(), flags=re.MULTILINE)
    assert [rule.label for rule in parse_config(shipped).detection.rules] == ["glass", "my doorbell"]
    own = parse_config(f"model: {prompts}\ndetection: {{rules: [{{label: Bang, classes: [glass]}}]}}")
    assert [rule.label for rule in own.detection.rules] == ["Bang"]


def test_sections_are_frozen() -> None:
    """A section of the configuration cannot be changed."""
    with pytest.raises(AttributeError):
        Config().audio.deaf_after = 1.0  # type: ignore[misc]


def test_a_tilde_is_the_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` in a path is the home directory; `~` of an unknown user stays as it is."""
    monkeypatch.setenv("HOME", "/home/me")
    assert EventsConfig(path="~/events.db").path == "/home/me/events.db"
    assert EventsConfig(path="~nobody-of-this-name/x").path == "~nobody-of-this-name/x"
    assert parse_config("mqtt: {username: me, password_file: ~/pw}").mqtt.password_file == str(Path("/home/me/pw"))
    tls = TlsConfig(enabled=True, ca_file="~/ca", cert_file="~/cert", key_file="~/key")
    assert (tls.ca_file, tls.cert_file, tls.key_file) == ("/home/me/ca", "/home/me/cert", "/home/me/key")


@pytest.mark.parametrize(("host", "name"), [("box.local", "box-local"), ("büro", "b-ro"), ("--", "monitor")])
def test_the_node_is_named_like_the_host(monkeypatch: pytest.MonkeyPatch, host: str, name: str) -> None:
    """By default the node has the host's name, with only the characters that a topic can contain."""
    monkeypatch.setattr("socket.gethostname", lambda: host)
    assert Config().node_name == name
    assert msgspec.convert({"node": name}, Config).node_name == name
    assert Config(node="mine").node_name == "mine"


def test_a_cadence_is_bounded_and_its_label_is_unique() -> None:
    """What is kept to look through is bounded, and a class has one meaning."""
    with pytest.raises(ConfigError, match=r"cadences.*12 beeps take longer than 30 s"):
        parse_config("detection: {cadences: [{label: Slow, beeps: 12, on: 3, off: 3, pitch: 2000}]}")
    twice = "{label: Washed, beeps: 3, on: 0.5, off: 0.5, pitch: 2000}"
    with pytest.raises(ConfigError, match="duplicate label 'Washed' in cadences"):
        parse_config(f"detection: {{cadences: [{twice}, {twice}]}}")
