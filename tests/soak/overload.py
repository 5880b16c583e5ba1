"""A monitor with many sources on one core that others want too: `python -m tests.soak.overload [--sources 100]`.

After ten quiet seconds, busy loops compete for the core; then they end. Prints whether each window of the grid was
analysed or counted as dropped, the greatest lag, and how long the monitor took to be in real time again.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
import wave
from pathlib import Path

import numpy as np

from monitor.audio.inputs.capture import Capture, Opener
from monitor.config.schema import Config, EventsConfig, SourceConfig
from monitor.service import Service

QUIET, AFTER = 10.0, 20.0
"""Seconds before and after the load."""
IN_TIME = 1.0
"""Lag in seconds of a monitor that is in real time."""


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=int, default=100)
    parser.add_argument("--loops", type=int, default=4, help="busy loops beside the monitor")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long they run")
    arguments = parser.parse_args()
    core = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "room.wav"
        with wave.open(str(file), "wb") as audio:
            audio.setparams((1, 2, 16_000, 0, "NONE", ""))
            audio.writeframes((1000 * np.random.default_rng(0).standard_normal(16_000 * 20)).astype("<i2").tobytes())
        service = Service(
            Config(
                node="soak",
                sources=tuple(SourceConfig(input=str(file), name=f"s{n}", loop=True) for n in range(arguments.sources)),
                events=EventsConfig(path=str(Path(name) / "events.db")),
            )
        )
        captures = [watched(service, number) for number in range(arguments.sources)]
        run = asyncio.create_task(service.run(duration=QUIET + arguments.seconds + AFTER))
        await asyncio.sleep(QUIET)
        lags, recovered = await burden(service, arguments.loops, arguments.seconds)
        await run
    done = dropped = possible = overruns = 0
    for source, (capture,) in zip(service._sources, captures, strict=True):
        health, grid = source.health(), source._grid
        done, dropped = done + health.windows_done, dropped + health.windows_dropped
        overruns += health.overflows
        length = capture.ring.written * grid.rate // capture.rate
        possible += max(0, -(-(length - grid.window) // grid.hop)) + 1
    print(
        f"{possible} windows: {done} analysed, {dropped} dropped, {possible - done - dropped} unaccounted, "
        f"{overruns} overruns of a ring; "
        f"lag p50 {np.median(lags):.2f}, p99 {np.quantile(lags, 0.99):.2f}, max {max(lags):.2f} s; "
        f"in real time again after {recovered:.1f} s"
    )


def watched(service: Service, number: int) -> list[Capture]:
    """Return a list that will hold what this source opens."""
    source, captures = service._sources[number], []
    opener: Opener = source._opener

    def open_() -> Capture:
        captures.append(opener())
        return captures[-1]

    source._opener = open_
    return captures


async def burden(service: Service, loops: int, seconds: float) -> tuple[list[float], float]:
    """Return the lags under load, and how many seconds after its end the monitor was in real time again."""
    busy = [await asyncio.create_subprocess_exec(sys.executable, "-c", "while True: pass") for _ in range(loops)]
    lags, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        lags += [source.lag for source in service._sources]
        await asyncio.sleep(0.25)
    for process in busy:
        process.kill()
        await process.wait()
    late = end = time.monotonic()
    while time.monotonic() < end + AFTER - 2:
        if max(source.lag for source in service._sources) > IN_TIME:
            late = time.monotonic()
        await asyncio.sleep(0.25)
    return lags, late - end


if __name__ == "__main__":
    asyncio.run(main())
