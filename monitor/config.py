"""The configuration file: YAML in, one typed and frozen `Config` out, or an error that names the place.

Every field here stands in `config.yaml` with its unit and default.
"""

import difflib
import os
import re
import socket
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta, Struct

from monitor.errors import ConfigError

Name = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]+$", min_length=1, max_length=64)]
Probability = Annotated[float, Meta(ge=0.0, le=1.0)]
Seconds = Annotated[float, Meta(ge=0.0, le=86400.0)]
Preset = Literal["impulsive", "repetitive", "sustained"]


class Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all sections: frozen, and strict about unknown keys."""


class SourceConfig(Section, frozen=True):
    """One place to listen to."""

    input: str
    """mic, mic:NAME, a file, pcm:-[@RATE[xCHANNELS]], or a URL."""
    name: Name | None = None
    """What messages and topics call it; derived from `input` by default."""
    loop: bool = False
    """Repeat a file for ever."""


class AudioConfig(Section, frozen=True):
    """How sources are watched."""

    stall_timeout: Annotated[float, Meta(ge=0.5, le=600.0)] = 3.0
    """Seconds without a sample after which a device or stream counts as lost and is opened again."""
    deaf_after: Annotated[float, Meta(ge=1.0, le=86400.0)] = 30.0
    """Seconds of digital silence or a stuck value after which a microphone counts as deaf."""
    retry_max: Annotated[float, Meta(ge=1.0, le=3600.0)] = 10.0
    """Longest wait between two attempts to open a lost device or stream, seconds."""


class ModelConfig(Section, frozen=True):
    """What classifies the audio."""

    name: str = "resnet-mini"
    """A model of `sound-monitor models`, or the path of an .onnx file."""
    hop: Annotated[float, Meta(ge=0.01, le=60.0)] = 0.25
    """Seconds between two windows."""
    provider: Literal["auto", "cpu", "cuda", "tensorrt", "openvino"] = "auto"
    """ONNX Runtime's execution provider."""
    threads: Annotated[int, Meta(ge=1, le=256)] = 1
    """Threads of one inference."""
    batch: Annotated[int, Meta(ge=1, le=256)] = 16
    """Most windows (of several sources) in one inference."""


class RuleConfig(Section, frozen=True):
    """When one sound counts as detected; what is left out comes from the preset."""

    label: Annotated[str, Meta(min_length=1, max_length=128)]
    """The name it is published under."""
    classes: tuple[str, ...] = ()
    """The model's classes that mean this sound, the highest counts; by default the class called `label`."""
    preset: Preset = "sustained"
    on: Probability | None = None
    off: Probability | None = None
    strong: Annotated[float, Meta(ge=0.0, le=2.0)] | None = None
    smoothing: Seconds | None = None
    votes: Annotated[int, Meta(ge=1, le=1000)] | None = None
    min_duration: Seconds | None = None
    hold: Seconds | None = None
    cooldown: Seconds | None = None


DEFAULT_RULES = (
    RuleConfig(label="Smoke alarm", classes=("Smoke detector, smoke alarm", "Fire alarm")),
    RuleConfig(label="Siren", classes=("Siren", "Civil defense siren", "Police car (siren)")),
    RuleConfig(label="Alarm", classes=("Alarm", "Alarm clock")),
    RuleConfig(label="Glass breaking", classes=("Shatter", "Breaking"), preset="impulsive"),
    RuleConfig(label="Baby crying", classes=("Baby cry, infant cry", "Crying, sobbing")),
    RuleConfig(label="Dog", classes=("Bark", "Dog", "Howl"), preset="repetitive"),
    RuleConfig(label="Cat", classes=("Meow", "Cat"), preset="repetitive"),
    RuleConfig(label="Doorbell", classes=("Doorbell", "Ding-dong"), preset="impulsive"),
    RuleConfig(label="Knock", classes=("Knock",), preset="impulsive"),
    RuleConfig(label="Telephone", classes=("Telephone", "Telephone bell ringing", "Ringtone")),
    RuleConfig(label="Scream", classes=("Screaming",), preset="impulsive"),
    RuleConfig(label="Cough", classes=("Cough", "Sneeze"), preset="repetitive"),
    RuleConfig(label="Snoring", classes=("Snoring",), preset="repetitive"),
    RuleConfig(label="Water", classes=("Water tap, faucet", "Toilet flush", "Water")),
    RuleConfig(label="Speech", classes=("Speech",)),
    RuleConfig(label="Music", classes=("Music",)),
)


class DetectionConfig(Section, frozen=True):
    """Which sounds are detected."""

    rules: tuple[RuleConfig, ...] = DEFAULT_RULES

    def __post_init__(self) -> None:
        labels = [rule.label for rule in self.rules]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"label {label!r} stands twice in rules; give each rule its own label")


class EventsConfig(Section, frozen=True):
    """The event log."""

    path: str | None = None
    """SQLite file; by default events.db in the state directory."""
    keep_days: Annotated[int, Meta(ge=1, le=36500)] = 365
    """Older events are deleted."""


class TlsConfig(Section, frozen=True):
    """An encrypted connection to the broker."""

    enabled: bool = False
    ca_file: str | None = None
    """PEM file of the authority that signed the broker's certificate; by default the system's."""
    cert_file: str | None = None
    """PEM client certificate, where the broker wants one."""
    key_file: str | None = None
    """PEM key of the client certificate."""


class MqttConfig(Section, frozen=True):
    """The broker. Off unless `host` is set."""

    host: str | None = None
    port: Annotated[int, Meta(ge=1, le=65535)] | None = None
    """By default 1883, with TLS 8883."""
    username: str | None = None
    password: str | None = None
    password_file: str | None = None
    """File that holds the password, for example a systemd credential."""
    topic: Annotated[str, Meta(pattern=r"^[^+#\x00/]+(/[^+#\x00/]+)*$", max_length=200)] = "sound-monitor"
    """First part of every topic."""
    keepalive: Annotated[int, Meta(ge=5, le=3600)] = 10
    """Seconds; a broker that falls silent is noticed within twice this time."""
    live_interval: Annotated[float, Meta(ge=0.1, le=3600.0)] = 1.0
    """Least seconds between two messages of live top labels of a source."""
    tls: TlsConfig = TlsConfig()

    def __post_init__(self) -> None:
        if self.password is not None and self.password_file is not None:
            raise ValueError("set password or password_file, not both")


class LoggingConfig(Section, frozen=True):
    """What the program says on stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Config(Section, frozen=True):
    """The whole configuration file."""

    node: Name | None = None
    """Name of this box in topics and messages; by default the host's name."""
    sources: tuple[SourceConfig, ...] = ()
    """By default the default microphone; where there is none, a demonstration."""
    audio: AudioConfig = AudioConfig()
    model: ModelConfig = ModelConfig()
    detection: DetectionConfig = DetectionConfig()
    events: EventsConfig = EventsConfig()
    mqtt: MqttConfig = MqttConfig()
    logging: LoggingConfig = LoggingConfig()

    @property
    def node_name(self) -> str:
        """The configured name, or the host's, in characters that a topic can carry."""
        return self.node or re.sub(r"[^A-Za-z0-9_-]+", "-", socket.gethostname()).strip("-") or "monitor"


def state_folder() -> Path:
    """Where the program keeps what it must not lose: systemd's state directory, or the user's."""
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "sound-monitor"


class _Loader(yaml.SafeLoader):
    """YAML 1.2's booleans (only true and false, so that `on:` is a key) and no duplicate keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise ConfigError(f"line {key.start_mark.line + 1}: key {key.value!r} stands twice")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$", re.IGNORECASE), list("tTfF"))


def load(path: str) -> Config:
    """Read and check a configuration file; `-` is stdin. Raises `ConfigError`."""
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read configuration {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from error
    return parse(text, "stdin" if path == "-" else path)


def parse(text: str, origin: str = "config.yaml") -> Config:
    """Turn YAML text into a `Config`; `origin` names it in errors. Raises `ConfigError`."""
    try:
        root = yaml.compose(text, Loader=_Loader)
        data = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{origin}{line}: not valid YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{origin}: not valid YAML: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}") from error
    try:
        return msgspec.convert({} if data is None else data, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(_explain(str(error), origin, root)) from error


def _explain(problem: str, origin: str, root: yaml.Node | None) -> str:
    """Turn msgspec's message into `file:line: key: what was expected`."""
    what, _, where = problem.partition(" - at `$")
    path = [part for part in re.split(r"[.\[\]]+", where.rstrip("`")) if part]
    unknown = re.match(r"Object contains unknown field `(.*)`", what)
    if unknown:
        path.append(unknown[1])
        near = difflib.get_close_matches(unknown[1], _known_keys(path[:-1]), n=1, cutoff=0.5)
        what = "unknown key" + (f"; did you mean {near[0]!r}?" if near else "")
        if not near:
            what += f"; known here: {', '.join(sorted(_known_keys(path[:-1])))}"
    what = what.replace("`", "").replace("Expected", "expected").replace("Object missing", "missing")
    line = _line_of(root, path)
    return f"{origin}{f':{line}' if line else ''}: {'.'.join(path) or 'top level'}: {what}"


def _known_keys(path: list[str]) -> tuple[str, ...]:
    """The keys that the section at this path knows."""
    section: type[Any] = Config
    entries = {"sources": SourceConfig, "rules": RuleConfig}
    for part in path:
        if not part.isdigit():
            default = next(field.default for field in msgspec.structs.fields(section) if field.name == part)
            section = entries.get(part) or type(default)
    known: tuple[str, ...] = section.__struct_fields__
    return known


def _line_of(node: yaml.Node | None, path: list[str]) -> int | None:
    """The line (from 1) on which the value at this path stands."""
    line = None
    for part in path:
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == part), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
            node = node.value[int(part)]
            line = node.start_mark.line + 1
        else:
            break
    return line
