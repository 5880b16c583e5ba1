"""The configuration: every key with its type, unit, bounds and default.

`config.yaml` has every field, with an explanation for the user.
"""

import re
import socket
from typing import Annotated, Literal

from msgspec import Meta, Struct, structs

from monitor.files import expand_home

NAME = r"^[A-Za-z0-9_-]+\Z"
LABEL = r"^[^\x00-\x1f\x7f]+\Z"
TOPIC = r"^[^+#/\x00-\x1f\x7f]+(/[^+#/\x00-\x1f\x7f]+)*\Z"

Name = Annotated[str, Meta(pattern=NAME, max_length=64)]
Probability = Annotated[float, Meta(ge=0.0, le=1.0)]
Seconds = Annotated[float, Meta(ge=0.0, le=86400.0)]
Preset = Literal["impulsive", "repetitive", "sustained"]
Label = Annotated[str, Meta(pattern=LABEL, max_length=128)]
Prompts = Annotated[tuple[Annotated[str, Meta(pattern=LABEL, max_length=300)], ...], Meta(min_length=1, max_length=100)]
"""Descriptions of a sound, in words."""

DEFAULT_PROFILE = "default"
"""The profile that always exists: the rules as configured."""


VARIABLE = re.compile(r"\$?\{\w+\}")
"""What other programs replace by an environment variable."""


def _duplicate(names: list[str]) -> str | None:
    """The first name that occurs more than once."""
    return next((name for name in names if names.count(name) > 1), None)


class Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all sections: frozen, and unknown keys are errors."""

    def _expand_home(self, *files: str) -> None:
        """Replace `~` in these fields by the home directory, as a shell does."""
        for file in files:
            path = getattr(self, file)
            if path is not None:
                structs.force_setattr(self, file, str(expand_home(path)))


Channel = Literal["mix", "left", "right", "loudest"] | Annotated[int, Meta(ge=1, le=32)]
"""Which channel to listen to: the mean of all, the first or second, the loudest at any time, or a number from 1."""
Decibels = Literal["auto"] | Annotated[float, Meta(ge=-60.0, le=60.0)]
"""By how much to amplify; `auto` raises a quiet source to the level of a usual room."""


class SourceConfig(Section, frozen=True):
    """One place to listen to."""

    input: str
    """mic, mic:NAME, a file, pcm:-[@RATE[xCHANNELS]], or a URL."""
    name: Name | None = None
    """Name in messages and topics; derived from `input` by default."""
    loop: bool = False
    """Repeat a file endlessly."""
    live: bool = True
    """Whether a URL is live. A recording on a server is played once, in real time."""
    channel: Channel = "mix"
    """Channel to listen to."""
    gain: Decibels = 0.0
    """Decibels by which the signal is amplified."""

    def __post_init__(self) -> None:
        if "://" in self.input and (found := VARIABLE.search(self.input)):
            raise ValueError(f"variables such as {found[0]} are not replaced; write the value itself")


class AudioConfig(Section, frozen=True):
    """When a source counts as lost or deaf."""

    stall_timeout: Annotated[float, Meta(ge=0.5, le=600.0)] = 3.0
    """Seconds without a sample after which a device or stream counts as lost and is reopened."""
    deaf_after: Annotated[float, Meta(ge=1.0, le=86400.0)] = 30.0
    """Seconds without a trace of a room, as digital silence, hum or clipping, after which a microphone is deaf."""
    retry_max: Annotated[float, Meta(ge=1.0, le=3600.0)] = 8.0
    """Longest time between two attempts to open a lost device or stream, seconds."""


DEFAULT_BACKGROUND = (
    "silence",
    "the quiet hum of a room",
    "people talking",
    "a television in the background",
    "music playing",
    "footsteps",
    "rustling of clothes and paper",
    "clattering of dishes",
    "typing on a keyboard",
    "a door opening and closing",
    "running water",
    "a fan or a vacuum cleaner",
    "cars passing by on a road",
    "wind and rain outside",
    "birds singing outside",
    "static noise",
)


class ModelConfig(Section, frozen=True):
    """The model that classifies the audio."""

    name: str = "lean-int8"
    """A name that `sound-monitor models` lists, or the path of an .onnx file."""
    hop: Annotated[float, Meta(ge=0.01, le=60.0)] = 0.25
    """Seconds between two windows."""
    provider: Literal["auto", "cpu", "cuda", "tensorrt", "openvino"] = "auto"
    """ONNX Runtime's execution provider."""
    threads: Annotated[int, Meta(ge=1, le=256)] = 1
    """Threads of one inference."""
    batch: Annotated[int, Meta(ge=1, le=256)] = 16
    """Most windows (of several sources) in one inference."""
    prompts: dict[Label, Prompts] = {}
    """For a model that takes prompts: the name of each sound, and descriptions of it in words.

    Each of them gets a rule, which replaces the default rules.
    """
    background: Prompts = DEFAULT_BACKGROUND
    """Descriptions of the room when none of the sounds in `prompts` occurs."""


class RuleConfig(Section, frozen=True):
    """When one sound counts as detected; a missing value comes from the preset."""

    label: Label
    """Name in messages, topics and the event log."""
    classes: tuple[str, ...] = ()
    """The model's classes for this sound, of which the highest score counts; by default the class named `label`."""
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
    RuleConfig(
        label="Smoke alarm",
        classes=("Smoke alarm", "Smoke detector, smoke alarm", "Fire alarm", "Smoke alarm pattern (T3)"),
    ),
    RuleConfig(label="CO alarm", classes=("Carbon monoxide alarm pattern (T4)",)),
    RuleConfig(label="Siren", classes=("Emergency siren", "Siren", "Civil defense siren", "Police car (siren)")),
    RuleConfig(label="Alarm", classes=("Alarm sounding", "Alarm clock ringing", "Alarm", "Alarm clock")),
    RuleConfig(label="Glass breaking", classes=("Glass breaking", "Shatter", "Breaking"), preset="impulsive"),
    RuleConfig(label="Baby crying", classes=("Baby crying", "Baby cry, infant cry", "Crying, sobbing")),
    RuleConfig(label="Dog", classes=("Dog barking", "Bark", "Dog", "Howl"), preset="repetitive"),
    RuleConfig(label="Cat", classes=("Cat meowing", "Meow", "Cat"), preset="repetitive"),
    RuleConfig(label="Doorbell", classes=("Doorbell ringing", "Doorbell", "Ding-dong"), preset="impulsive"),
    RuleConfig(label="Knock", classes=("Knocking on a door", "Knock"), preset="impulsive"),
    RuleConfig(label="Telephone", classes=("Telephone ringing", "Telephone", "Telephone bell ringing", "Ringtone")),
    RuleConfig(label="Scream", classes=("Person screaming", "Screaming"), preset="repetitive"),
    RuleConfig(label="Cough", classes=("Coughing", "Sneezing", "Cough", "Sneeze"), preset="repetitive"),
    RuleConfig(label="Snoring", classes=("Snoring sleeper", "Snoring"), preset="repetitive"),
    RuleConfig(label="Water", classes=("Water running", "Flushing a toilet", "Water tap, faucet", "Toilet flush")),
    RuleConfig(label="Speech", classes=("Speech",)),
    RuleConfig(label="Music", classes=("Music",)),
)


class CadenceConfig(Section, frozen=True):
    """Beeps of one pitch in a fixed rhythm, as an appliance makes them at the end of its cycle."""

    label: Label
    """The class that rules name; without a rule that names it, it gets one."""
    beeps: Annotated[int, Meta(ge=2, le=12)]
    """Beeps in a group."""
    on: Annotated[float, Meta(ge=0.08, le=5.0)]
    """Length of a beep, seconds."""
    off: Annotated[float, Meta(ge=0.08, le=5.0)]
    """Length of the gap between two beeps, seconds."""
    pitch: Annotated[float, Meta(ge=300.0, le=7000.0)]
    """Hertz, to 3 %."""
    pause: Annotated[float, Meta(ge=1.0, le=60.0)] | None = None
    """Seconds from one group to the next, which confirms it; by default one group is enough."""

    def __post_init__(self) -> None:
        if self.beeps * (self.on + self.off) > LONGEST_GROUP:
            raise ValueError(f"cadence {self.label!r}: {self.beeps} beeps take longer than {LONGEST_GROUP:g} s")


LONGEST_GROUP = 30.0
"""Seconds of beeps that are kept to look through."""


class DetectionConfig(Section, frozen=True):
    """The sounds that are detected."""

    rules: tuple[RuleConfig, ...] = DEFAULT_RULES
    cadences: tuple[CadenceConfig, ...] = ()
    """Rhythms of beeps to detect, beside those of smoke and carbon monoxide alarms."""

    def __post_init__(self) -> None:
        if name := _duplicate([rule.label for rule in self.rules]):
            raise ValueError(f"duplicate label {name!r} in rules: labels must be unique")
        if name := _duplicate([cadence.label for cadence in self.cadences]):
            raise ValueError(f"duplicate label {name!r} in cadences: labels must be unique")


class ProfileSoundConfig(Section, frozen=True):
    """What a profile changes about one sound; a missing value is that of the rule."""

    label: Label
    """A rule's label."""
    enabled: bool = True
    """Whether the sound is detected."""
    on: Probability | None = None
    """The score at which the sound starts."""


class ProfileConfig(Section, frozen=True):
    """Changes to the rules that can be selected while the monitor runs."""

    name: Name
    sounds: tuple[ProfileSoundConfig, ...] = ()

    def __post_init__(self) -> None:
        if self.name == DEFAULT_PROFILE:
            raise ValueError(f"profile name {self.name!r} is reserved for the configured rules; choose another")
        if name := _duplicate([sound.label for sound in self.sounds]):
            raise ValueError(f"duplicate label {name!r} in profile {self.name!r}: labels must be unique")


class EventsConfig(Section, frozen=True):
    """The event log."""

    path: str | None = None
    """SQLite file; by default events.db in the state directory."""
    keep_days: Annotated[int, Meta(ge=1, le=36500)] = 365
    """Days after which an event is deleted."""
    max_mb: Annotated[int, Meta(ge=1, le=1_000_000)] = 100
    """Largest size of the file, in millions of bytes; beyond it the oldest events are deleted."""

    def __post_init__(self) -> None:
        self._expand_home("path")


class TlsConfig(Section, frozen=True):
    """An encrypted connection to the broker."""

    enabled: bool = False
    ca_file: str | None = None
    """PEM file of the authority that signed the broker's certificate; by default the system's."""
    cert_file: str | None = None
    """PEM client certificate, if the broker requires one."""
    key_file: str | None = None
    """PEM key of the client certificate."""

    def __post_init__(self) -> None:
        if not self.enabled and (self.ca_file or self.cert_file or self.key_file):
            raise ValueError("certificates need an encrypted connection: set enabled to true")
        if self.key_file and not self.cert_file:
            raise ValueError("key_file requires cert_file")
        self._expand_home("ca_file", "cert_file", "key_file")


class MqttConfig(Section, frozen=True):
    """The connection to the MQTT broker; off while `host` is not set."""

    host: str | None = None
    port: Annotated[int, Meta(ge=1, le=65535)] | None = None
    """By default 1883, with TLS 8883."""
    protocol: Literal["3.1.1", "5"] = "3.1.1"
    """Version of MQTT; every broker supports 3.1.1."""
    transport: Literal["tcp", "websockets"] = "tcp"
    path: Annotated[str, Meta(pattern="^/", max_length=200)] = "/mqtt"
    """Path of the broker's WebSocket endpoint."""
    username: str | None = None
    password: str | None = None
    password_file: str | None = None
    """File with the password, for example a systemd credential."""
    topic: Annotated[str, Meta(pattern=TOPIC, max_length=200)] = "sound-monitor"
    """First part of every topic."""
    keepalive: Annotated[int, Meta(ge=5, le=3600)] = 6
    """Seconds; a broker that stops responding is noticed within twice this time."""
    live_interval: Annotated[float, Meta(ge=0.1, le=3600.0)] = 1.0
    """Shortest time between two messages with the live scores of a source, seconds."""
    level: bool = False
    """Publish the level of each source when it changes."""
    discovery: bool = True
    """Announce this monitor to Home Assistant."""
    discovery_prefix: Annotated[str, Meta(pattern=TOPIC, max_length=200)] = "homeassistant"
    """First part of the topics in which Home Assistant looks for devices."""
    tls: TlsConfig = TlsConfig()

    def __post_init__(self) -> None:
        if self.host is not None and re.search(r"/|^[^:]*:\d+$|^\[", self.host):
            raise ValueError(f"host {self.host!r} must be a name or an address, without port or scheme")
        if self.password is not None and self.password_file is not None:
            raise ValueError("set password or password_file, not both")
        if self.username is None and (self.password is not None or self.password_file is not None):
            raise ValueError("a password requires a username")
        self._expand_home("password_file")


class LoggingConfig(Section, frozen=True):
    """The log on stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Config(Section, frozen=True):
    """The whole configuration file."""

    node: Name | None = None
    """Name of this monitor in topics and messages; by default the host name."""
    sources: tuple[SourceConfig, ...] = ()
    """By default the default microphone; without one a demonstration, but never with a broker or as a service."""
    audio: AudioConfig = AudioConfig()
    model: ModelConfig = ModelConfig()
    detection: DetectionConfig = DetectionConfig()
    profiles: tuple[ProfileConfig, ...] = ()
    """Changes to the rules that can be selected over MQTT."""
    events: EventsConfig = EventsConfig()
    mqtt: MqttConfig = MqttConfig()
    logging: LoggingConfig = LoggingConfig()

    def __post_init__(self) -> None:
        if name := _duplicate([profile.name for profile in self.profiles]):
            raise ValueError(f"duplicate profile {name!r}: names must be unique")
        if self.model.prompts and self.detection.rules == DEFAULT_RULES:
            rules = tuple(RuleConfig(label=name) for name in self.model.prompts)
            structs.force_setattr(self, "detection", structs.replace(self.detection, rules=rules))

    @property
    def node_name(self) -> str:
        """The configured name, or the host name with only the characters that a topic can contain."""
        return self.node or re.sub(r"[^A-Za-z0-9_-]+", "-", socket.gethostname()).strip("-") or "monitor"
