"""Reading the configuration file: what is accepted, and the errors for what is not."""

import time
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from monitor.config.load import LIMIT, load_config, parse_config
from monitor.config.schema import Config, Section
from monitor.errors import ConfigError
from tests.parts.cli import Program


def refusal(text: str) -> str:
    """The error for this configuration."""
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "my.yaml")
    return str(caught.value)


def parsed_or_refused(text: str) -> str:
    """The node of this configuration, or the error for it."""
    try:
        return repr(parse_config(text).node)
    except ConfigError as error:
        return str(error)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null", "{}", "\ufeff", "audio:\nmqtt:\n  # host: x\n"])
def test_what_is_not_given_has_its_default(text: str) -> None:
    """An empty file, an empty section and a key without a value give the defaults."""
    assert parse_config(text) == Config()


def test_text_stays_text() -> None:
    """A password of digits keeps its zeros; `on` and `off` are keys; `no` and dates are text."""
    config = parse_config("""
        node: no
        mqtt: {password: 0123, username: 2026-01-01}
        detection: {rules: [{label: off, on: 0.7, off: 0.1}]}
    """)
    assert (config.node, config.mqtt.password, config.mqtt.username) == ("no", "0123", "2026-01-01")
    rule = config.detection.rules[0]
    assert (rule.label, rule.on, rule.off) == ("off", 0.7, 0.1)


def test_values_take_their_keys_types() -> None:
    """Numbers may be quoted and may have a point; booleans are true and false in any case."""
    config = parse_config("""
        sources: [{input: a.wav, loop: true}, {input: b.wav, loop: FALSE}]
        audio: {stall_timeout: 5}
        model: {hop: 5e-1, threads: "2"}
    """)
    assert [source.loop for source in config.sources] == [True, False]
    assert (config.audio.stall_timeout, config.model.hop, config.model.threads) == (5.0, 0.5, 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("adio: {}", "my.yaml:1: adio: unknown key; did you mean 'audio'?"),
        (
            "audio:\n  # a\n  stal_timeout: 3",
            "my.yaml:3: audio.stal_timeout: unknown key; did you mean 'stall_timeout'?",
        ),
        ("mqtt:\n  tls:\n    enable: true", "my.yaml:3: mqtt.tls.enable: unknown key; did you mean 'enabled'?"),
        (
            "detection:\n  rules:\n    - label: a\n    - label: b\n      vote: 1",
            "my.yaml:5: detection.rules.1.vote: unknown key; did you mean 'votes'?",
        ),
        ("mqtt:\n  hots:", "my.yaml:2: mqtt.hots: unknown key; did you mean 'host'?"),
        ("mqtt:\nhost: broker", "my.yaml:2: host: unknown key; indent it under mqtt"),
        ("rules: []", "my.yaml:1: rules: unknown key; indent it under detection"),
        ("level: debug", "my.yaml:1: level: unknown key; indent it under mqtt or logging"),
        ("mqtt: {ca_file: ca.pem}", "my.yaml:1: mqtt.ca_file: unknown key; it belongs under mqtt.tls"),
        ("logging: {colour: red}", "my.yaml:1: logging.colour: unknown key; known: level"),
        ("sources: [mic]", "my.yaml:1: sources.0: expected keys with values, not 'mic'; write `- input: mic`"),
        (
            "detection:\n  rules:\n    - Dog",
            "my.yaml:3: detection.rules.0: expected keys with values, not 'Dog'; write `- label: Dog`",
        ),
        (
            "sources:\n  - input: rtsp://me:{CAMERA_PASSWORD}@camera/live",
            "my.yaml:2: sources.0: variables such as {CAMERA_PASSWORD} are not replaced; write the value itself",
        ),
        ("sources:\n  - name: x", "my.yaml:2: sources.0: missing key input"),
        ("audio:\n  stall_timeout: soon", "my.yaml:2: audio.stall_timeout: expected a number, not 'soon'"),
        ("audio: {stall_timeout: 0.1}", "my.yaml:1: audio.stall_timeout: expected a number >= 0.5, not '0.1'"),
        ("model: {hop: nan}", "my.yaml:1: model.hop: expected a number >= 0.01, not 'nan'"),
        ("model: {threads: 1.5}", "my.yaml:1: model.threads: expected a whole number, not '1.5'"),
        ("mqtt: {port: 70000}", "my.yaml:1: mqtt.port: expected a whole number <= 65535, not '70000'"),
        ("sources: [{input: a, loop: yes}]", "my.yaml:1: sources.0.loop: expected true or false, not 'yes'"),
        (
            "model:\n  provider: gpu",
            "my.yaml:2: model.provider: expected one of auto, cpu, cuda, tensorrt, openvino, not 'gpu'",
        ),
        (
            "detection: {rules: [{label: a, preset: short}]}",
            "my.yaml:1: detection.rules.0.preset: expected one of impulsive, repetitive, sustained, not 'short'",
        ),
        ("node: my box", "my.yaml:1: node: expected letters, digits, - and _ only, not 'my box'"),
        ('node: "box\\n"', "my.yaml:1: node: expected letters, digits, - and _ only, not 'box\\n'"),
        ("node: ''", "my.yaml:1: node: expected letters, digits, - and _ only, not ''"),
        (
            "mqtt: {topic: a/#}",
            "my.yaml:1: mqtt.topic: expected a topic without + and #, and no / at its ends, not 'a/#'",
        ),
        (
            "mqtt: {topic: a/}",
            "my.yaml:1: mqtt.topic: expected a topic without + and #, and no / at its ends, not 'a/'",
        ),
        (
            'detection: {rules: [{label: "a\\tb"}]}',
            "my.yaml:1: detection.rules.0.label: expected a name without control characters, not 'a\\tb'",
        ),
        ("detection: {rules: {a: b}}", "my.yaml:1: detection.rules: expected a list"),
        ("audio: 5", "my.yaml:1: audio: expected keys with values, not '5'"),
        ("just a sentence", "my.yaml: top level: expected keys with values, not 'just a sentence'"),
        (
            "node: x\ndetection:\n  rules: [{label: Dog}, {label: Dog}]",
            "my.yaml:2: detection: duplicate label 'Dog' in rules: labels must be unique",
        ),
        (
            "profiles: [{name: night}, {name: night}]",
            "my.yaml: top level: duplicate profile 'night': names must be unique",
        ),
        (
            "profiles:\n  - name: night\n    sounds: [{label: Dog}, {label: Dog}]",
            "my.yaml:2: profiles.0: duplicate label 'Dog' in profile 'night': labels must be unique",
        ),
        (
            "profiles: [{name: default}]",
            "my.yaml:1: profiles.0: profile name 'default' is reserved for the configured rules; choose another",
        ),
        (
            "profiles: [{name: night, sounds: [{label: Dog, on: 8}]}]",
            "my.yaml:1: profiles.0.sounds.0.on: expected a number <= 1.0, not '8'",
        ),
        (
            "profiles: [{name: night, sounds: [{label: Dog, of: 0.8}]}]",
            "my.yaml:1: profiles.0.sounds.0.of: unknown key; did you mean 'on'?",
        ),
        ("model: {prompts: [glass]}", "my.yaml:1: model.prompts: expected keys with values"),
        ("model:\n  prompts: {glass: breaking}", "my.yaml:2: model.prompts: expected a list"),
        ("model:\n  prompts: {glass: []}", "my.yaml:2: model.prompts: expected a list of length >= 1"),
        ("model:\n  prompts: {'': [a]}", "my.yaml:2: model.prompts: expected a name without control characters"),
        ("model:\n  background: []", "my.yaml:2: model.background: expected a list of length >= 1"),
        ("mqtt: {password: a, password_file: b}", "my.yaml:1: mqtt: set password or password_file, not both"),
        *(
            (
                f"mqtt: {{host: '{host}'}}",
                f"my.yaml:1: mqtt: host '{host}' must be a name or an address, without port or scheme",
            )
            for host in ("ha:1883", "mqtt://ha", "[::1]:1883")
        ),
        ("mqtt: {password: a}", "my.yaml:1: mqtt: a password requires a username"),
        (
            "mqtt:\n  tls: {ca_file: ca.pem}",
            "my.yaml:2: mqtt.tls: certificates need an encrypted connection: set enabled to true",
        ),
        ("mqtt: {tls: {enabled: true, key_file: k}}", "my.yaml:1: mqtt.tls: key_file requires cert_file"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, said: str) -> None:
    """An error names file, line and key, what was expected and what was found."""
    assert refusal(text) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("node: x\nnode: y", "my.yaml:2: duplicate key 'node'"),
        ("audio:\n  deaf_after: 3\n  deaf_after: 3", "my.yaml:3: duplicate key 'deaf_after'"),
        ("node: x\n audio: {}", "my.yaml:2: invalid YAML: mapping values are not allowed here"),
        ("node: x\n---\nnode: y", "my.yaml:2: invalid YAML: but found another document"),
        ("mqtt: {password: !secret mqtt}", "my.yaml:1: '!secret' is not supported here; use password_file for the bro"),
        (
            "mqtt: {password: !!python/object/apply:os.getcwd []}",
            "python/object/apply:os.getcwd' is not supported here",
        ),
        ("model: !!map 5", "my.yaml:1: expected keys with values"),
        ("? [a]\n: b", "my.yaml:1: a key must be a word"),
        ("node: \0", "my.yaml: invalid YAML: unacceptable character #x0000"),
    ],
)
def test_what_is_not_our_yaml_is_said_with_its_line(text: str, said: str) -> None:
    """Invalid YAML, tags and duplicate keys are refused with their line."""
    assert said in refusal(text)


def test_aliases_are_refused() -> None:
    """Aliases, with which a few lines can expand to any amount of data, are errors."""
    bomb = "a: &a [x, x]\n" + "".join(
        f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True)
    )
    assert refusal(bomb).startswith("my.yaml:2: an alias (*name) is not supported here")
    assert "alias" in refusal("audio: &a {deaf_after: 5}\nmodel:\n  <<: *a")


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_deep_nesting_is_refused(opening: str) -> None:
    """Deep nesting is an error within seconds, not a stack overflow."""
    begun = time.monotonic()
    assert "nested too deeply" in refusal(opening * (LIMIT // len(opening)))
    assert time.monotonic() - begun < 20


def test_a_long_number_is_not_repeated_in_full() -> None:
    """The message about a number of 5,000 digits stays short."""
    assert len(refusal(f"model: {{threads: {'9' * 5000}}}")) < 200


@given(st.text())
@example("2001-99-99")
@example("!!float x")
@example("node: [*a]")
def test_no_text_breaks_the_reader(text: str) -> None:
    """Any text gives a configuration or a `ConfigError`, and no other exception."""
    assert parsed_or_refused(text)


WORDS = st.sampled_from([*Config.__struct_fields__, "rules", "label", "tls", "hop", "input", "x", "a.b", "0", "[1]"])
VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | WORDS | st.dates() | st.binary(max_size=9)
)
TREES = st.recursive(VALUES, lambda inner: st.lists(inner) | st.dictionaries(WORDS, inner), max_leaves=20)


@given(st.dictionaries(WORDS, TREES))
def test_no_structure_breaks_the_reader(data: dict[str, object]) -> None:
    """Any YAML gives a configuration or a `ConfigError` of one line."""
    assert "\n" not in parsed_or_refused(yaml.safe_dump(data))


TOP = ("node", "sources", "profiles")
"""Keys of the top level that are not sections."""


@given(st.data())
def test_each_key_refuses_what_is_no_value_for_it(data: st.DataObject) -> None:
    """A list of lists is an error for every key, and the error names the key."""
    section = data.draw(st.sampled_from([name for name in Config.__struct_fields__ if name not in TOP]))
    kind = type(getattr(Config(), section))
    assert issubclass(kind, Section)
    key = data.draw(st.sampled_from(kind.__struct_fields__))
    assert refusal(f"{section}:\n  {key}: [[[]]]").startswith(f"my.yaml:2: {section}.{key}")


def test_a_file_is_read(tmp_path: Path) -> None:
    """A file is read by its path, and errors name it."""
    path = tmp_path / "my.yaml"
    path.write_text("node: kitchen")
    assert load_config(str(path)).node == "kitchen"
    path.write_text("node: [")
    with pytest.raises(ConfigError, match=r"my\.yaml:1: invalid YAML"):
        load_config(str(path))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"node: \xff", "not UTF-8 text: invalid start byte at byte 6"),
        ("node: büro".encode("utf-16"), "not UTF-8 text"),
        (b"# \n" * LIMIT, "longer than 128 KiB; is this a configuration file?"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    """A file that is not UTF-8, or far too long, is an error."""
    path = tmp_path / "my.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        load_config(str(path))


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """A missing file and a folder are errors with the system's reason."""
    with pytest.raises(ConfigError, match=r"cannot read configuration .*nowhere\.yaml: No such file or directory"):
        load_config(str(tmp_path / "nowhere.yaml"))
    with pytest.raises(ConfigError, match="Is a directory"):
        load_config(str(tmp_path))


def test_a_device_without_end_is_not_read_to_its_end() -> None:
    """/dev/zero is an error, and no more of it is read than a configuration may have."""
    with pytest.raises(ConfigError, match="longer than"):
        load_config("/dev/zero")


def test_the_program_says_it_in_one_line_and_with_its_code(program: Program) -> None:
    """Every command that reads the configuration ends with exit code 78 and one line."""
    (program.folder / "my.yaml").write_text("audio:\n  deaf: 3")
    for command in (["run"], ["analyze", "a.wav"], ["check"], ["tui"]):
        done = program.run(*command, "-c", "my.yaml")
        assert (done.code, done.out) == (78, "")
        assert done.err == "sound-monitor: my.yaml:2: audio.deaf: unknown key; did you mean 'deaf_after'?\n"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (b"node: a b", "sound-monitor: stdin:1: node: expected letters, digits, - and _ only, not 'a b'\n"),
        (b"\xff", "sound-monitor: stdin: not UTF-8 text: invalid start byte at byte 0\n"),
    ],
)
def test_the_configuration_may_come_from_standard_input(program: Program, given: bytes, said: str) -> None:
    """`-c -` reads standard input, and errors name it stdin."""
    done = program.run("run", "-c", "-", given=given)
    assert (done.code, done.err) == (78, said)
