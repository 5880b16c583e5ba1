"""Broker and monitor fail again and again, in every way, and no detection is lost."""

import asyncio
import random
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import aiomqtt
import msgspec
import pytest

from monitor.config.schema import MqttConfig
from monitor.messages import Detection, LoggedDetection, Phase
from tests.mqtt.examples import BASE, LABELS, eventually
from tests.mqtt.speaker import sound
from tests.parts.broker import Broker

pytestmark = pytest.mark.real

COUNT = 1000
ROOT = Path(__file__).parents[2]


class Witness:
    """Records the log and the events, over all restarts of the broker.

    It subscribes with QoS 0, so that the broker passes a message on before it acknowledges it: a broker without
    persistence loses its queue when it is killed.
    """

    def __init__(self, port: int) -> None:
        self.logged: list[LoggedDetection] = []
        self.events: list[Detection] = []
        self.present = asyncio.Event()
        self._port = port

    async def listen(self) -> None:
        """Record without end."""
        while True:
            with suppress(aiomqtt.MqttError):
                async with aiomqtt.Client(
                    "127.0.0.1",
                    self._port,
                    username="witness",
                    password="witness",  # noqa: S106
                ) as client:
                    await client.subscribe([(f"{BASE}/log", 0), (f"{BASE}/hall/event", 0)])
                    self.present.set()
                    async for message in client.messages:
                        if str(message.topic).endswith("/log"):
                            self.logged.append(msgspec.json.decode(message.payload, type=LoggedDetection))
                        else:
                            self.events.append(msgspec.json.decode(message.payload, type=Detection))
            self.present.clear()
            await asyncio.sleep(0.02)


class Night:
    """A broker that accepts the monitor only while the witness is connected, and a monitor."""

    def __init__(self, broker: Broker, witness: Witness, command: list[str]) -> None:
        self._broker, self._witness, self._command = broker, witness, command
        self._monitor: asyncio.subprocess.Process | None = None

    async def let_in(self) -> None:
        """Accept the monitor as soon as the witness is connected."""
        await asyncio.wait_for(self._witness.present.wait(), 20)
        self._broker.admit("monitor", "witness")

    async def start_monitor(self) -> None:
        """Start the monitor, or start it again."""
        self._monitor = await asyncio.create_subprocess_exec(*self._command, cwd=ROOT)

    async def kill_monitor(self) -> None:
        """Kill the monitor."""
        assert self._monitor is not None
        self._monitor.kill()
        await self._monitor.wait()

    async def befall(self, trouble: str, seconds: float) -> None:
        """Cause this trouble, and end it after some seconds."""
        match trouble:
            case "broker killed":
                self._broker.admit("witness")
                self._broker.kill9()
                self._witness.present.clear()
                await asyncio.sleep(seconds)
                self._broker.start()
                await self.let_in()
            case "broker restarted":
                self._broker.admit("witness")
                self._broker.stop()
                self._witness.present.clear()
                await asyncio.sleep(seconds)
                self._broker.start()
                await self.let_in()
            case "broker frozen":
                self._broker.freeze()
                await asyncio.sleep(2 * seconds)
                self._broker.thaw()
            case "login refused":
                seconds += 1.0
                self._broker.admit("witness")
                await asyncio.sleep(seconds)
                await self.let_in()
            case "monitor killed":
                await self.kill_monitor()
                await asyncio.sleep(seconds)
                await self.start_monitor()


@asynccontextmanager
async def night(folder: Path, log: Path) -> AsyncIterator[tuple[Night, Witness, Broker]]:
    """The broker, the witness and the monitor, running."""
    passwords = {"monitor": "monitor", "witness": "witness"}
    with Broker(folder, passwords=passwords) as broker:
        config = MqttConfig(
            host="127.0.0.1",
            port=broker.port,
            username="monitor",
            password="monitor",  # noqa: S106
        )
        settings = msgspec.json.encode(config).decode()
        witness = Witness(broker.port)
        listening = asyncio.create_task(witness.listen())
        stage = Night(broker, witness, [sys.executable, "-m", "tests.mqtt.speaker", settings, str(log), str(COUNT)])
        try:
            await asyncio.wait_for(witness.present.wait(), 20)
            await stage.start_monitor()
            yield stage, witness, broker
        finally:
            await stage.kill_monitor()
            listening.cancel()
            await asyncio.wait([listening])


def recorded(log: Path) -> list[Detection]:
    """The detections in the event log, in order."""
    with closing(sqlite3.connect(log)) as connection:
        rows = connection.execute("SELECT detection FROM events ORDER BY sequence").fetchall()
    return [msgspec.json.decode(blob, type=Detection) for (blob,) in rows]


async def retained(port: int) -> dict[str, bytes]:
    """What the broker retains below `BASE`."""
    held: dict[str, bytes] = {}
    async with aiomqtt.Client("127.0.0.1", port, username="witness", password="witness") as client:  # noqa: S106
        await client.subscribe(f"{BASE}/#", qos=1)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                async for message in client.messages:
                    if message.retain:
                        held[str(message.topic).removeprefix(f"{BASE}/")] = message.payload
    return held


@pytest.mark.parametrize("seed", [1])
@pytest.mark.slow
async def test_no_detection_is_lost_whatever_befalls_broker_and_monitor(tmp_path: Path, seed: int) -> None:
    """Every recorded detection is on the log topic, in order and unchanged, and the states are true at the end."""
    chance = random.Random(seed)
    troubles = 4 * ["broker killed", "broker restarted", "broker frozen", "login refused"] + 3 * ["monitor killed"]
    chance.shuffle(troubles)
    log = tmp_path / "events.db"
    async with night(tmp_path, log) as (stage, witness, broker):
        for trouble in troubles:
            await asyncio.sleep(chance.uniform(0.3, 1.5))
            await stage.befall(trouble, chance.uniform(0.1, 1.5))
        await eventually(lambda: witness.logged and witness.logged[-1].id == f"{COUNT - 1:04}", within=120)
        held = await retained(broker.port)
        dog, alarm = LABELS[(COUNT - 1) % 2], LABELS[COUNT % 2]
        assert (dog, alarm) == ("Dog", "Smoke alarm")
        assert held["availability"] == b"online"
        assert held["hall/dog/state"] == b"ON"
        assert held["hall/smoke_alarm/state"] == b"OFF"
        assert msgspec.json.decode(held["hall/dog/attributes"])["id"] == f"{COUNT - 1:04}"
        await stage.befall("monitor killed", 0.0)
        await eventually(lambda: (witness.logged[-1].id, witness.logged[-1].phase) == (f"{COUNT - 1:04}", Phase.ENDED))
        assert (await retained(broker.port))["hall/dog/state"] == b"OFF"

    published = list(dict.fromkeys((each.id, each.phase) for each in witness.logged))
    assert published == [(f"{number:04}", phase) for number in range(COUNT) for phase in Phase]
    as_recorded = {(each.id, each.phase): each for each in recorded(log)}
    assert {(each.id, each.phase): bare(each) for each in witness.logged} == as_recorded
    for number in range(COUNT):
        assert as_recorded[f"{number:04}", Phase.STARTED] == sound(number, Phase.STARTED, COUNT)
    assert {each.replayed for each in witness.logged} == {True, False}
    assert len({(each.id, each.phase) for each in witness.events}) == len(witness.events)


def bare(logged: LoggedDetection) -> Detection:
    """The detection without the fields that the log topic adds."""
    return Detection(**{name: getattr(logged, name) for name in Detection.__struct_fields__})
