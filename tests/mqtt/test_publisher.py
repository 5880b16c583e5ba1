"""The publisher, at a real broker."""

import asyncio
import logging
import sys
import time
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from msgspec.structs import replace

from monitor.config.schema import MqttConfig
from monitor.errors import BrokerError
from monitor.events.log import EventLog
from monitor.hub import Hub
from monitor.messages import BrokerState, Detection, Health, LoggedDetection, Phase, Snapshot, SourceState
from monitor.mqtt import publisher
from monitor.mqtt.connection import probe
from monitor.mqtt.outbox import BATCH
from monitor.mqtt.publisher import Publisher, Send
from tests.events.test_log import full_disk
from tests.mqtt.examples import BASE, LABELS, Recorder, detection, eventually, health, listening, publishing, snapshot
from tests.parts.broker import Broker

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]


def logged(recorder: Recorder) -> list[tuple[Detection, bool]]:
    """The detections on the log topic, each with whether it is marked as replayed."""
    decoded = [msgspec.json.decode(payload, type=LoggedDetection) for payload in recorder.payloads("log")]
    return [
        (Detection(**{name: getattr(each, name) for name in Detection.__struct_fields__}), each.replayed)
        for each in decoded
    ]


async def test_the_whole_present_is_retained_at_the_broker_once_connected(config: MqttConfig, broker: Broker) -> None:
    """A later subscriber gets availability, every state, and every source."""
    async with publishing(config) as running:
        await eventually(lambda: running.connected)
        async with listening(broker.port) as recorder:
            await eventually(lambda: recorder.last("availability") == b"online")
            assert recorder.last("hall/smoke_alarm/state") == b"OFF"
            assert recorder.last("hall/dog/state") == b"OFF"
            assert recorder.last("hall/availability") == b"offline"


async def test_a_detection_is_a_state_and_an_event_equal_to_it(config: MqttConfig, broker: Broker) -> None:
    """Start and end: the state is ON, then OFF, and the events decode to the same detections."""
    async with listening(broker.port) as recorder, publishing(config) as running:
        await eventually(lambda: recorder.last("availability") == b"online")
        for phase, state in ((Phase.STARTED, b"ON"), (Phase.ENDED, b"OFF")):
            running.hub.publish(detection(phase))
            await eventually(lambda state=state: recorder.last("hall/smoke_alarm/state") == state)  # type: ignore[misc]
        await eventually(lambda: len(recorder.payloads("hall/event")) == 2)
        events = [msgspec.json.decode(payload, type=Detection) for payload in recorder.payloads("hall/event")]
        assert events == [detection(Phase.STARTED), detection(Phase.ENDED)]
        assert b"ON" not in recorder.payloads("hall/dog/state")
    async with listening(broker.port) as late:
        await eventually(lambda: late.last("availability") is not None)
        assert late.payloads("hall/event") == []


async def test_health_is_retained_and_sets_the_availability_of_sources(config: MqttConfig, broker: Broker) -> None:
    """A source that becomes deaf is offline."""
    async with listening(broker.port) as recorder, publishing(config) as running:
        running.hub.publish(health())
        await eventually(lambda: recorder.last("hall/availability") == b"online")
        running.hub.publish(health(SourceState.DEAF))
        await eventually(lambda: recorder.last("hall/availability") == b"offline")
    async with listening(broker.port) as late:
        await eventually(lambda: late.last("health") is not None)
        assert msgspec.json.decode(late.last("health") or b"", type=Health) == health(SourceState.DEAF)


async def test_live_messages_are_limited_and_the_newest_wins(config: MqttConfig, broker: Broker) -> None:
    """Of a burst, the first and the last are sent, an interval apart."""
    async with listening(broker.port) as recorder, publishing(config) as running:
        await eventually(lambda: recorder.last("availability") == b"online")
        running.hub.publish(snapshot(-100))
        await eventually(lambda: recorder.payloads("hall/live"))
        for level in range(-99, -9):
            running.hub.publish(snapshot(level))
        await eventually(lambda: len(recorder.payloads("hall/live")) == 2)
        live = [msgspec.json.decode(payload, type=Snapshot) for payload in recorder.payloads("hall/live")]
        assert live == [snapshot(-100), snapshot(-10)]


@pytest.mark.parametrize("queued", [0, 45])
async def test_the_end_sends_everything_and_then_offline(
    config: MqttConfig, broker: Broker, monkeypatch: pytest.MonkeyPatch, queued: int
) -> None:
    """Messages that are queued when the monitor stops are sent before `offline`."""
    monkeypatch.setattr(publisher, "DRAIN", 600.0)
    async with listening(broker.port) as recorder, publishing(config) as running:
        await eventually(lambda: recorder.last("availability") == b"online")
        for number in range(queued):
            running.hub.publish(detection(id=str(number)))
        await running.end()
        await eventually(lambda: recorder.last("availability") == b"offline")
        assert len(recorder.payloads("hall/event")) == queued
        assert str(recorder.messages[-1].topic) == f"{BASE}/availability"


async def test_a_silent_broker_does_not_delay_the_end(
    config: MqttConfig, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker has a bounded time; then the publisher hangs up, and the Last Will says offline."""
    monkeypatch.setattr(publisher, "DRAIN", 0.2)
    async with listening(broker.port) as recorder, publishing(replace(config, keepalive=600)) as running:
        await eventually(lambda: recorder.last("availability") == b"online")
        broker.freeze()
        running.hub.publish(detection())
        await running.end()
        broker.thaw()
        await eventually(lambda: recorder.last("availability") == b"offline")


async def test_the_broker_says_offline_when_the_monitor_is_killed(config: MqttConfig, broker: Broker) -> None:
    """The Last Will of a killed process is published."""
    program = (
        "import asyncio, sys\n"
        "import msgspec\n"
        "from monitor.config.schema import MqttConfig\n"
        "from monitor.hub import Hub\n"
        "from monitor.messages import Detection\n"
        "from monitor.mqtt.publisher import Publisher\n"
        "from tests.mqtt.examples import Notebook\n"
        "async def main():\n"
        "    config = msgspec.json.decode(sys.argv[1], type=MqttConfig)\n"
        "    await Publisher(config, 'box', [], [], Hub().subscribe(Detection), Notebook(), lambda *_: None).run()\n"
        "asyncio.run(main())\n"
    )
    settings = msgspec.json.encode(replace(config, keepalive=5)).decode()
    async with listening(broker.port) as recorder:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, settings, cwd=ROOT)
        try:
            await eventually(lambda: recorder.last("availability") == b"online")
        finally:
            process.kill()
            await process.wait()
        await eventually(lambda: recorder.last("availability") == b"offline")


async def test_a_cancelled_publisher_is_offline_too(config: MqttConfig, broker: Broker) -> None:
    """A cancelled publisher hangs up, so that the broker publishes the Last Will."""
    async with listening(broker.port) as recorder, publishing(config) as running:
        await eventually(lambda: recorder.last("availability") == b"online")
        running.task.cancel()
        await eventually(lambda: recorder.last("availability") == b"offline")
        await asyncio.wait([running.task])
        running.task = asyncio.create_task(asyncio.sleep(0))


@pytest.mark.parametrize(("protocol", "transport"), [("5", "tcp"), ("3.1.1", "websockets"), ("5", "websockets")])
async def test_other_protocols_and_transports(
    tmp_path: Path, protocol: Literal["3.1.1", "5"], transport: Literal["tcp", "websockets"]
) -> None:
    """Detections arrive, also after an outage; the Last Will and the message about a wrong password work."""
    with Broker(tmp_path, web=True) as broker:
        port = broker.port if transport == "tcp" else broker.web_port
        spoken = MqttConfig(host="127.0.0.1", port=port, protocol=protocol, transport=transport)
        async with publishing(spoken) as running:
            async with listening(broker.port) as recorder:
                await eventually(lambda: recorder.last("availability") == b"online")
                running.hub.publish(detection(Phase.STARTED))
                await eventually(lambda: recorder.last("hall/smoke_alarm/state") == b"ON")
                await eventually(lambda: len(recorder.payloads("hall/event")) == 1)
            broker.kill9()
            await eventually(lambda: running.states[-1][0] is BrokerState.FAILED)
            broker.start()
            async with listening(broker.port) as recorder:
                await eventually(lambda: recorder.last("availability") == b"online")
                assert recorder.last("hall/smoke_alarm/state") == b"ON"
                running.task.cancel()
                await eventually(lambda: recorder.last("availability") == b"offline")
                await asyncio.wait([running.task])
                running.task = asyncio.create_task(asyncio.sleep(0))
    with Broker(tmp_path, web=True, passwords={"ha": "right"}) as broker:
        port = broker.port if transport == "tcp" else broker.web_port
        with pytest.raises(BrokerError, match="rejects user 'ha'"):
            await probe(replace(spoken, port=port, username="ha", password="wrong"), "box")  # noqa: S106


async def test_a_detection_during_an_outage_arrives_later_with_its_own_times(
    config: MqttConfig, broker: Broker
) -> None:
    """After a kill -9 the log is late but complete; states show the present, and old events are dropped."""
    async with publishing(config) as running:
        await eventually(lambda: running.connected)
        broker.kill9()
        await eventually(lambda: not running.connected)
        running.hub.publish(snapshot())
        running.record(detection(Phase.STARTED))
        running.record(detection(Phase.ENDED))
        running.record(detection(id="2", label="Dog"))
        await asyncio.sleep(0)
        async with asyncio.timeout(20):
            broker.start()
            async with listening(broker.port) as recorder:
                await eventually(lambda: len(recorder.payloads("log")) == 3)
                expected = [detection(Phase.STARTED), detection(Phase.ENDED), detection(id="2", label="Dog")]
                assert logged(recorder) == [(each, True) for each in expected]
                assert recorder.payloads("hall/event") == []
                assert set(recorder.payloads("hall/smoke_alarm/state")) == {b"OFF"}
                assert set(recorder.payloads("hall/dog/state")) == {b"ON"}
                assert recorder.payloads("hall/live") == []


async def test_a_black_hole_is_noticed_and_nothing_is_lost_in_it(config: MqttConfig, broker: Broker) -> None:
    """A silent broker is noticed after twice the keepalive, even while it owes an acknowledgement."""
    async with listening(broker.port) as recorder, publishing(config) as running:
        await eventually(lambda: recorder.last("availability") == b"online")
        broker.freeze()
        running.record(detection())
        await eventually(lambda: not running.connected)
        assert "stopped responding" in running.problem
        broker.thaw()
        await eventually(lambda: recorder.last("hall/smoke_alarm/state") == b"ON" and recorder.payloads("log"))
        assert {each for each, _ in logged(recorder)} == {detection()}


async def test_a_long_backlog_does_not_delay_new_detections(
    config: MqttConfig, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """State and event are sent while the log is being replayed; the log stays in order."""
    monkeypatch.setattr(publisher, "REPLAY_RATE", 100.0)
    async with listening(broker.port) as recorder, publishing(config) as running:
        for number in range(10 * BATCH):
            running.notebook.write(detection(id=f"old {number}", label="Dog"))
        await eventually(lambda: recorder.payloads("log"))
        running.record(detection())
        await eventually(lambda: recorder.payloads("hall/event"))
        assert recorder.last("hall/smoke_alarm/state") == b"ON"
        assert len(recorder.payloads("log")) < 10 * BATCH
        await eventually(lambda: len(recorder.payloads("log")) == 10 * BATCH + 1)
        assert [each.id for each, _ in logged(recorder)] == [f"old {number}" for number in range(10 * BATCH)] + ["1"]


async def test_a_detection_that_is_published_at_once_is_not_replayed(config: MqttConfig, broker: Broker) -> None:
    """The log topic carries the same detection as the event, not marked as replayed."""
    async with listening(broker.port) as recorder, publishing(config) as running:
        await eventually(lambda: recorder.last("availability") == b"online")
        running.record(detection())
        await eventually(lambda: recorder.payloads("log"))
        assert logged(recorder) == [(detection(), False)]
        await eventually(lambda: not running.notebook.waiting)


async def test_a_full_disk_keeps_nothing_from_the_broker(config: MqttConfig, broker: Broker, tmp_path: Path) -> None:
    """State, event and log come from memory, marked; once written, the detection is not sent again."""
    unrecorded = replace(detection(), recorded=False)
    log = EventLog(tmp_path / "events.db", keep_days=36500, max_mb=100)
    hub = Hub()
    publisher = Publisher(config, "box", ["hall"], LABELS, hub.subscribe(Detection), log, lambda *_: None)
    async with listening(broker.port) as recorder:
        task = asyncio.create_task(publisher.run())
        await eventually(lambda: recorder.last("availability") == b"online")
        with full_disk():
            assert not await log.append(detection())
            hub.publish(detection())
            await eventually(lambda: recorder.payloads("log") and recorder.payloads("hall/event"))
            assert recorder.last("hall/smoke_alarm/state") == b"ON"
            await eventually(lambda: logged(recorder) == [(unrecorded, False)])
            async with asyncio.timeout(20):
                while await log.pending(1):  # noqa: ASYNC110 - until the acknowledgement is there
                    await asyncio.sleep(0.01)
        assert await log.append(detection(Phase.ENDED))
        hub.publish(detection(Phase.ENDED))
        await eventually(lambda: recorder.last("hall/smoke_alarm/state") == b"OFF")
        hub.close()
        await task
        await eventually(lambda: recorder.last("availability") == b"offline")
        assert logged(recorder) == [(unrecorded, False), (detection(Phase.ENDED), False)]
    assert await log.recent(9) == [detection(), detection(Phase.ENDED)]
    await log.close()


@dataclass
class Echo:
    """A companion that publishes what it receives, and a message for each connection."""

    filters: Sequence[str] = (f"{BASE}/set/#", "elsewhere/+")
    received_messages: list[tuple[str, bytes, bool]] = field(default_factory=list)

    async def connected(self, send: Send) -> None:
        """Publish that the connection is up."""
        await send(f"{BASE}/setting/there", b"yes", retain=True)

    async def received(self, topic: str, payload: bytes, send: Send, *, retained: bool) -> None:
        """Publish what was received."""
        self.received_messages.append((topic, payload, retained))
        await send(f"{BASE}/setting/echo", payload)


async def test_a_companion_uses_each_connection(config: MqttConfig, broker: Broker) -> None:
    """A companion receives what it subscribed to and nothing else, also after a restart of the broker."""
    echo = Echo()
    async with publishing(config, echo) as running:
        for life in (1, 2):
            async with listening(broker.port) as recorder:
                await eventually(
                    lambda: recorder.last("setting/there") == b"yes" and recorder.last("availability") == b"online"
                )
                await recorder.client.publish(f"{BASE}/hall/set/x", b"not for it", qos=1)
                await recorder.client.publish(f"{BASE}/set/pause", b"ON", qos=1)
                await eventually(lambda: recorder.last("setting/echo") == b"ON")
            assert echo.received_messages == life * [(f"{BASE}/set/pause", b"ON", False)]
            if life == 1:
                broker.kill9()
                await eventually(lambda: not running.connected)
                broker.start()


async def test_a_companion_comes_after_the_present(config: MqttConfig, broker: Broker) -> None:
    """The state that a companion announces has been published."""
    async with listening(broker.port) as recorder, publishing(config, Echo()):
        await eventually(lambda: recorder.last("setting/there"))
        topics = [str(message.topic).removeprefix(f"{BASE}/") for message in recorder.messages]
        assert topics[-2:] == ["availability", "setting/there"]
        assert "hall/dog/state" in topics


async def test_the_default_keepalive_finds_a_black_hole_within_15_seconds(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A silent broker is noticed after twice the default keepalive, plus two seconds; time runs fast meanwhile."""
    skipped = 0.0
    frozen = False

    def clock() -> float:
        return time.monotonic() + skipped

    async def sleep(seconds: float) -> None:
        nonlocal skipped
        if frozen:
            skipped += seconds
        await asyncio.sleep(0.01 if frozen else seconds)

    fast = types.ModuleType("asyncio")
    fast.__dict__.update(vars(asyncio), sleep=sleep)
    monkeypatch.setattr("aiomqtt.client.asyncio", fast)
    monkeypatch.setattr("paho.mqtt.client.time_func", clock)
    async with publishing(MqttConfig(host="127.0.0.1", port=broker.port)) as running:
        await eventually(lambda: running.connected)
        broker.freeze()
        begun, frozen = clock(), True
        await eventually(lambda: not running.connected)
        assert 5 < clock() - begun < 15
        frozen = False
        broker.thaw()


async def test_the_hub_is_drained_while_the_broker_is_away(config: MqttConfig, broker: Broker) -> None:
    """Without a broker the subscription does not fill up: no message is dropped."""
    broker.kill9()
    async with publishing(config) as running:
        await eventually(lambda: running.problem)
        for number in range(200):
            running.hub.publish(detection(id=str(number)))
            await asyncio.sleep(0)
        assert running.hub.dropped == 0


async def test_a_repeated_cause_is_logged_once(
    config: MqttConfig, broker: Broker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Twenty failed attempts write one line, and the libraries none."""
    attempts = 0

    def short_pauses() -> Iterator[float]:
        nonlocal attempts
        while True:
            attempts += 1
            yield 0.02

    monkeypatch.setattr("monitor.mqtt.publisher.pauses", short_pauses)
    broker.kill9()
    caplog.set_level(logging.INFO)
    async with publishing(config) as running:
        await eventually(lambda: attempts > 20)
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "connection to 127.0.0.1" in caplog.text
        assert [state for state, _ in running.states[1:]] == [BrokerState.CONNECTING, BrokerState.FAILED]
        broker.start()
        await eventually(lambda: running.connected)


async def test_the_same_cause_is_logged_again_after_a_recovery(
    config: MqttConfig, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    """Each outage is logged."""
    async with publishing(config) as running:
        for outages in (1, 2):
            await eventually(lambda: running.connected)
            broker.kill9()
            broker.start()
            await eventually(lambda n=outages: caplog.text.count("was lost") == n)  # type: ignore[misc]
            assert not running.connected


async def test_the_publisher_connects_once_the_password_file_is_right(tmp_path: Path) -> None:
    """A missing file and a wrong password are reported, and the file is read again at each attempt."""
    secret = tmp_path / "secret"
    with Broker(tmp_path, passwords={"ha": "right"}) as broker:
        config = MqttConfig(host="127.0.0.1", port=broker.port, username="ha", password_file=str(secret))
        async with publishing(config) as running:
            await eventually(lambda: "cannot read mqtt.password_file" in running.problem)
            secret.write_text("wrong\n")
            await eventually(lambda: "rejects user 'ha'" in running.problem)
            secret.write_text("right\n")
            await eventually(lambda: running.connected)
