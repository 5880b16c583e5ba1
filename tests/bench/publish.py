"""The cost of publishing, at a real broker: `python -m tests.bench.publish [--rate N] [--seconds S]`.

Sounds begin and end at the given rate, are recorded and published, while the model keeps inferring; then the broker
is away for an hour's worth of one sound a second; then it stops responding without hanging up.
"""

import argparse
import asyncio
import statistics
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np

from monitor.classify.model import NativeModel
from monitor.classify.open import find_model
from monitor.config.schema import Config, MqttConfig
from monitor.events.log import EventLog
from monitor.hub import Hub
from monitor.messages import BrokerState, Detection, Health, LoggedDetection, Phase, Snapshot
from monitor.mqtt.publisher import Publisher
from tests.mqtt.examples import LABELS, Recorder, detection, eventually, listening
from tests.parts.broker import Broker

HOUR = 3600


class Inference:
    """The model, running without a pause, in a thread as in the program."""

    def __init__(self) -> None:
        self._session = NativeModel(find_model(Config().model.name))
        self._samples = np.zeros((1, self._session.card.window), np.float32)
        self._times: list[float] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def _work(self) -> None:
        while not self._ended.is_set():
            begun = time.perf_counter()
            self._session.run(self._samples)
            self._times.append(time.perf_counter() - begun)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def median(self) -> float:
        """Milliseconds an inference since the last call."""
        times, self._times = self._times, []
        return 1000 * statistics.median(times)

    def end(self) -> None:
        """Stop."""
        self._ended.set()
        self._thread.join()


class Monitor:
    """A log, a hub and a publisher, and the state of the connection."""

    def __init__(self, config: MqttConfig, folder: Path) -> None:
        self.log = EventLog(folder / "events.db", keep_days=36500, max_mb=1000)
        self.hub = Hub()
        self.state = BrokerState.DISABLED
        subscription = self.hub.subscribe(Detection, Snapshot, Health, capacity=1000)
        self.publisher = Publisher(config, "box", ["hall"], LABELS, subscription, self.log, self._changed)

    def _changed(self, state: BrokerState, _: str) -> None:
        self.state = state

    async def reaches(self, state: BrokerState) -> float:
        """Seconds until the connection has this state."""
        begun = time.monotonic()
        await eventually(lambda: self.state is state, within=600)
        return time.monotonic() - begun

    async def record(self, number: int) -> None:
        """A sound that begins and ends."""
        for phase in Phase:
            began = datetime.now(UTC)
            made = msgspec.structs.replace(
                detection(phase, id=f"{number}", label=LABELS[number % 2]),
                started_at=began,
                ended_at=began + timedelta(seconds=1) if phase is Phase.ENDED else None,
            )
            await self.log.append(made)
            self.hub.publish(made)


@asynccontextmanager
async def monitor(config: MqttConfig, folder: Path) -> AsyncIterator[Monitor]:
    """A running monitor."""
    running = Monitor(config, folder)
    task = asyncio.create_task(running.publisher.run())
    try:
        yield running
    finally:
        running.hub.close()
        await task
        await running.log.close()


async def arrives(recorder: Recorder, count: int) -> float:
    """Seconds until the recorder has so many messages of the log."""
    begun = time.monotonic()
    await eventually(lambda: len(recorder.payloads("log")) >= count, within=600)
    return time.monotonic() - begun


async def keep_up(running: Monitor, recorder: Recorder, rate: float, seconds: float) -> None:
    """Sounds at a steady rate beside the model."""
    inference = Inference()
    inference.start()
    await asyncio.sleep(seconds / 3)
    print(f"inference alone: {inference.median():.1f} ms")
    begun, late, count = time.monotonic(), 0.0, round(rate * seconds)
    for number in range(count):
        due = begun + number / rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        await running.record(number)
        late = max(late, time.monotonic() - due)
    took = time.monotonic() - begun
    behind = 2 * count - len(recorder.payloads("log"))
    print(f"inference meanwhile: {inference.median():.1f} ms")
    inference.end()
    rest = await arrives(recorder, 2 * count)
    logged = [msgspec.json.decode(payload, type=LoggedDetection) for payload in recorder.payloads("log")]
    print(f"{count} sounds in {took:.1f} s ({count / took:.0f} a second), recorded at most {1000 * late:.0f} ms late")
    print(
        f"messages missing at the end: {behind}, the last after {rest:.2f} s; lost by the hub:",
        running.hub.dropped,
    )
    print(f"published late: {sum(each.replayed for each in logged)}; events: {len(recorder.payloads('hall/event'))}")


async def outage(running: Monitor, broker: Broker) -> None:
    """An hour without a broker, at one sound a second."""
    broker.kill9()
    await running.reaches(BrokerState.FAILED)
    before = resident()
    for number in range(10_000_000, 10_000_000 + HOUR):
        await running.record(number)
    print(f"memory for {HOUR} sounds during an outage: {resident() - before:+.1f} MB")
    broker.start()
    begun = time.monotonic()
    print(f"connected {await running.reaches(BrokerState.CONNECTED):.2f} s after the broker is back,", end=" ")
    while await running.log.pending(1):  # noqa: ASYNC110 - the log has no event for this
        await asyncio.sleep(0.1)
    print(f"all {2 * HOUR} messages published after {time.monotonic() - begun:.1f} s")


async def black_hole(running: Monitor, broker: Broker) -> None:
    """A broker that stops responding."""
    for _ in range(3):
        broker.freeze()
        noticed = await running.reaches(BrokerState.FAILED)
        broker.thaw()
        back = await running.reaches(BrokerState.CONNECTED)
        print(f"silence noticed after {noticed:.1f} s, connected {back:.1f} s after its end")


def resident() -> float:
    """Memory of this process, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


async def measure(rate: float, seconds: float) -> None:
    """Run all measurements."""
    with tempfile.TemporaryDirectory() as name, Broker(Path(name)) as broker:
        config = MqttConfig(host="127.0.0.1", port=broker.port)
        async with monitor(config, Path(name)) as running:
            async with listening(broker.port) as recorder:
                await running.reaches(BrokerState.CONNECTED)
                await keep_up(running, recorder, rate, seconds)
            await outage(running, broker)
            await black_hole(running, broker)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=200.0, help="sounds a second")
    parser.add_argument("--seconds", type=float, default=30.0)
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.rate, arguments.seconds))


if __name__ == "__main__":
    main()
