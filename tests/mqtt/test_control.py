"""Control over MQTT: commands are obeyed and answered, and nothing else has any effect."""

import asyncio
from dataclasses import dataclass, field

import aiomqtt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.schema import MqttConfig, ProfileConfig, ProfileSoundConfig
from monitor.control.settings import Choices, Settings
from monitor.messages import Rule
from monitor.mqtt import control
from monitor.mqtt.control import BURST, MAX_COMPLAINTS, MAX_PAYLOAD, RemoteControl, Role, controls
from monitor.mqtt.topics import Topics
from tests.mqtt.examples import BASE, eventually, listening, publishing
from tests.parts.broker import Broker

TOPICS = Topics("sound-monitor", "box")
NIGHT = ProfileConfig(name="night", sounds=(ProfileSoundConfig(label="Dog", enabled=False, on=0.8),))


def rule(label: str, reach: float = 1.0) -> Rule:
    """A rule like those of the presets."""
    return Rule(label, (0,), 0.5, 0.25, 0.9, 0.4, 3, 0.5, 1.5, 2.0, reach)


@dataclass
class Desk:
    """A remote control without a broker, with what it has sent and applied."""

    settings: Settings = field(
        default_factory=lambda: Settings([rule("Dog"), rule("Smoke alarm", 0.9)], [NIGHT], ["Dog"])
    )
    applied: list[Choices] = field(default_factory=list)
    sent: dict[str, bytes] = field(default_factory=dict)
    """Newest payload by topic below `setting`."""

    def __post_init__(self) -> None:
        found = controls(TOPICS, self.settings.labels, self.settings.profiles)
        self.remote = RemoteControl(TOPICS, found, self.settings, self.apply)

    async def apply(self) -> None:
        """Record the choices; they are applied before they are published."""
        assert not self.sent
        self.applied.append(self.settings.choices)

    async def send(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Record an answer."""
        assert retain
        self.sent[topic.removeprefix(f"{BASE}/setting/")] = payload

    async def connect(self) -> dict[str, bytes]:
        """The settings that a new connection publishes."""
        self.sent.clear()
        await self.remote.connected(self.send)
        return dict(self.sent)

    async def command(self, path: str, payload: bytes, retained: bool = False) -> dict[str, bytes]:
        """Give a command on a topic below `set`, and return the answers."""
        self.sent.clear()
        await self.remote.received(f"{BASE}/set/{path}", payload, self.send, retained=retained)
        return dict(self.sent)


def test_every_sound_has_a_switch_and_a_threshold() -> None:
    """The topics contain the sound's slug; pause comes first."""
    found = controls(Topics("home/sounds", "box"), ["Dog", "Baby crying"], ["default"])
    assert [(control.key, control.role, control.label) for control in found] == [
        ("pause", Role.PAUSE, None),
        ("dog/enabled", Role.ENABLED, "Dog"),
        ("dog/threshold", Role.THRESHOLD, "Dog"),
        ("baby_crying/enabled", Role.ENABLED, "Baby crying"),
        ("baby_crying/threshold", Role.THRESHOLD, "Baby crying"),
    ]
    assert found[1].command_topic == "home/sounds/box/set/dog/enabled"
    assert found[1].state_topic == "home/sounds/box/setting/dog/enabled"


def test_a_profile_can_be_selected_if_there_are_several() -> None:
    """The options are all profiles."""
    (profile,) = (each for each in controls(TOPICS, ["Dog"], ["default", "night"]) if each.role is Role.PROFILE)
    assert (profile.options, profile.state_topic) == (("default", "night"), f"{BASE}/setting/profile")


def test_no_two_controls_share_a_topic() -> None:
    """Sounds named like other controls, or almost like each other, get topics of their own."""
    found = controls(TOPICS, ["pause", "profile", "Dog", "dog!", "犬"], ["default", "night"])
    assert len({control.command_topic for control in found} | {control.state_topic for control in found}) == 24


async def test_a_connection_publishes_all_settings() -> None:
    """Every setting has a state."""
    assert await Desk().connect() == {
        "pause": b"OFF",
        "profile": b"default",
        "dog/enabled": b"ON",
        "dog/threshold": b"0.5",
        "smoke_alarm/enabled": b"ON",
        "smoke_alarm/threshold": b"0.5",
    }


@pytest.mark.parametrize(
    ("path", "payload", "state"),
    [
        ("pause", b"ON", b"ON"),
        ("pause", b" on\n", b"ON"),
        ("dog/enabled", b"OFF", b"OFF"),
        ("dog/threshold", b"0.73", b"0.73"),
        ("dog/threshold", b"1", b"1"),
        ("dog/threshold", b".333333", b"0.3333"),
        ("smoke_alarm/threshold", b"0.90", b"0.9"),
    ],
)
async def test_a_command_is_applied_and_then_answered(path: str, payload: bytes, state: bytes) -> None:
    """The answer is the new state alone; a new connection publishes it too."""
    desk = Desk()
    assert await desk.command(path, payload) == {path: state}
    assert desk.applied == [desk.settings.choices] != [Choices()]
    assert (await desk.connect())[path] == state


async def test_a_profile_is_answered_with_everything_that_it_changes() -> None:
    """The answer is the profile and the settings that it changes."""
    desk = Desk()
    night = {"profile": b"night", "dog/enabled": b"OFF", "dog/threshold": b"0.8"}
    assert await desk.command("profile", b"night") == night
    assert [rule.label for rule in desk.settings.rules] == ["Smoke alarm"]


async def test_a_command_that_changes_nothing_is_answered_too() -> None:
    """The answer confirms the command; nothing is applied."""
    desk = Desk()
    assert await desk.command("dog/threshold", b"0.5") == {"dog/threshold": b"0.5"}
    assert desk.applied == []


@pytest.mark.parametrize(
    ("path", "payload", "why"),
    [
        ("pause", b"yes", "expected ON or OFF, not 'yes'"),
        ("pause", b"O" * (MAX_PAYLOAD + 1), "more than 64 bytes"),
        ("pause", b"\xff", "can't decode"),
        ("profile", b"day", "unknown profile 'day'; choose one of default, night"),
        ("dog/enabled", b"1", "expected ON or OFF"),
        ("dog/threshold", b"nan", "expected a number from 0 to 1, not 'nan'"),
        ("dog/threshold", b"-0.1", "expected a number"),
        ("dog/threshold", b"1e-1", "expected a number"),
        ("dog/threshold", "٣".encode(), "expected a number"),
        ("dog/threshold", b"1.01", "must be between 0 and 1"),
        ("smoke_alarm/threshold", b"0.95", "cannot reach a threshold of 0.95: smoothing limits its score to 0.90"),
        ("cat/enabled", b"OFF", "unknown command"),
        ("pause/now", b"ON", "unknown command"),
    ],
)
async def test_an_invalid_command_changes_nothing_and_is_logged_once(
    path: str, payload: bytes, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Repeating an invalid command logs it once."""
    desk = Desk()
    for _ in range(3):
        assert await desk.command(path, payload) == {}
    assert desk.settings.choices == Choices()
    assert desk.applied == []
    (record,) = caplog.records
    assert why in record.getMessage()
    assert f"set/{path}'" in record.getMessage()


async def test_a_retained_command_is_ignored_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A retained command would be repeated at each connection; clearing it is not a command either."""
    desk = Desk()
    for _ in range(3):
        assert await desk.command("pause", b"ON", retained=True) == {}
    assert await desk.command("pause", b"") == {}
    assert not desk.settings.choices.paused
    (record,) = caplog.records
    assert "it is retained; clear it" in record.getMessage()


async def test_complaints_are_limited(caplog: pytest.LogCaptureFixture) -> None:
    """Invalid commands that all differ write a limited number of lines."""
    desk = Desk()
    for number in range(3 * MAX_COMPLAINTS):
        await desk.command(f"x{number}" * 1000, b"?" * 10_000)
    assert len(caplog.records) == MAX_COMPLAINTS
    assert caplog.records[-1].getMessage().endswith("no more such lines")
    assert max(len(record.getMessage()) for record in caplog.records) < 200


async def test_commands_that_come_too_fast_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands beyond the burst are ignored until some time has passed; invalid ones do not count."""
    monkeypatch.setattr(control, "RATE", 1e-6)
    desk = Desk()
    for _ in range(2 * BURST):
        await desk.command("pause", b"?")
    for number in range(2 * BURST):
        await desk.command("pause", b"OFF" if number % 2 else b"ON")
    assert len(desk.applied) == BURST
    monkeypatch.setattr(control, "RATE", 1e3)
    await asyncio.sleep(0.01)
    assert await desk.command("pause", b"ON") == {"pause": b"ON"}


PATHS = st.sampled_from(["pause", "profile", "dog/enabled", "dog/threshold", "smoke_alarm/threshold", "", "/", "dog"])
PAYLOADS = st.sampled_from([b"ON", b"off", b"0.7", b"night", b"default", b"2"]) | st.binary(max_size=80)


@given(st.lists(st.tuples(PATHS | st.text(), PAYLOADS | st.text().map(str.encode), st.booleans()), max_size=30))
async def test_whatever_comes_only_commands_change_anything(given: list[tuple[str, bytes, bool]]) -> None:
    """Any sequence of messages: nothing raises, unanswered ones change nothing, published settings are in force."""
    desk = Desk()
    published = await desk.connect()
    for path, payload, retained in given:
        before = desk.settings.choices
        answer = await desk.command(path, payload, retained)
        published |= answer
        if not answer:
            assert desk.settings.choices == before
        else:
            assert path in answer
            assert not retained
    assert published == await desk.connect()


@given(PAYLOADS | st.floats().map(lambda number: repr(number).encode()))
async def test_a_threshold_is_a_plain_number_that_the_rule_can_reach(payload: bytes) -> None:
    """Any payload that is not a reachable number changes nothing."""
    desk = Desk()
    answer = await desk.command("smoke_alarm/threshold", payload)
    if answer:
        assert 0 <= float(payload) <= 0.90005
        assert float(answer["smoke_alarm/threshold"]) == pytest.approx(float(payload), abs=5.1e-5)
    else:
        assert desk.settings.choices == Choices()


@pytest.mark.real
async def test_at_a_real_broker_commands_are_obeyed_and_answered(config: MqttConfig, broker: Broker) -> None:
    """Answers are retained for later subscribers; a retained command is ignored."""
    desk = Desk()
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.publish(f"{BASE}/set/pause", b"ON", qos=1, retain=True)
        async with publishing(config, desk.remote), listening(broker.port) as recorder:
            await eventually(lambda: recorder.last("setting/dog/threshold") == b"0.5")
            await client.publish(f"{BASE}/set/dog/threshold", b"0.75", qos=1)
            await eventually(lambda: recorder.last("setting/dog/threshold") == b"0.75")
            assert recorder.last("setting/pause") == b"OFF"
            assert not desk.settings.choices.paused
            async with listening(broker.port) as late:
                await eventually(lambda: late.last("setting/dog/threshold") == b"0.75")
                assert late.last("setting/pause") == b"OFF"


@pytest.mark.real
async def test_settings_are_published_again_after_the_broker_lost_them(config: MqttConfig, broker: Broker) -> None:
    """After a crash of the broker, settings are published and commands obeyed on the new connection."""
    desk = Desk()
    async with publishing(config, desk.remote):
        async with listening(broker.port) as recorder:
            await eventually(lambda: recorder.last("setting/pause") == b"OFF")
            await recorder.client.publish(f"{BASE}/set/profile", b"night", qos=1)
            await eventually(lambda: recorder.last("setting/profile") == b"night")
        broker.kill9()
        broker.start()
        async with listening(broker.port) as recorder:
            await eventually(lambda: recorder.last("setting/profile") == b"night")
            await eventually(lambda: recorder.last("setting/dog/enabled") == b"OFF")
            await recorder.client.publish(f"{BASE}/set/profile", b"default", qos=1)
            await eventually(lambda: recorder.last("setting/profile") == b"default")
