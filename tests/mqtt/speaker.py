"""A monitor without audio, to be killed: `python -m tests.mqtt.speaker MQTT_CONFIG_AS_JSON LOG COUNT`.

It ends the sounds that the killed one left on, continues recording where that one stopped, and publishes; the last of
COUNT sounds stays on.
"""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from monitor.config.schema import MqttConfig
from monitor.events.log import EventLog
from monitor.hub import Hub
from monitor.messages import Detection, Health, Phase, Snapshot
from monitor.mqtt.publisher import Publisher
from tests.mqtt.examples import LABELS, detection

PACE = 0.02
"""Seconds from one start or end to the next."""


def sound(number: int, phase: Phase, count: int) -> Detection:
    """The sound with this number. After half of them, the clock is set back by a day."""
    began = datetime(2025, 5, 4, tzinfo=UTC) + timedelta(seconds=number, days=-1 if number > count / 2 else 0)
    return msgspec.structs.replace(
        detection(phase, id=f"{number:04}", label=LABELS[number % len(LABELS)]),
        started_at=began,
        ended_at=began + timedelta(seconds=0.5) if phase is Phase.ENDED else None,
    )


async def main() -> None:
    """Run until killed."""
    config = msgspec.structs.replace(msgspec.json.decode(sys.argv[1], type=MqttConfig), keepalive=1)
    log = EventLog(Path(sys.argv[2]), keep_days=36500, max_mb=100)
    count = int(sys.argv[3])
    await log.end_interrupted()
    before = await log.recent(1)
    hub = Hub()
    subscription = hub.subscribe(Detection, Snapshot, Health, capacity=1000)
    publisher = Publisher(config, "box", ["hall"], LABELS, subscription, log, lambda *_: None)
    publishing = asyncio.create_task(publisher.run())
    for number in range(int(before[0].id) + 1 if before else 0, count):
        for phase in Phase if number < count - 1 else (Phase.STARTED,):
            made = sound(number, phase, count)
            await log.append(made)
            hub.publish(made)
            await asyncio.sleep(PACE)
    await publishing


if __name__ == "__main__":
    asyncio.run(main())
