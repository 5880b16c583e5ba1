"""Live streams over a network that loses audio, or is only late."""

import asyncio
import time
from datetime import UTC, datetime

import numpy as np
import pytest

from monitor.audio.source import Source
from monitor.audio.spec import opener, parse_spec
from monitor.audio.windows import Grid
from monitor.config.schema import AudioConfig
from monitor.messages import Window
from tests.parts.streams import serving, web

RATE = 48000


def wav(*bangs: float, seconds: float) -> bytes:
    """Quiet noise as an endless WAV stream, with loud noise of 0.1 s at these times."""
    rng = np.random.default_rng(0)
    audio = 0.003 * rng.standard_normal(round(seconds * RATE))
    for at in bangs:
        audio[round(at * RATE) : round((at + 0.1) * RATE)] *= 100
    samples = (np.clip(audio, -1, 1) * 32767).astype("<i2").tobytes()
    form = np.array([16], "<u4").tobytes() + np.array([1, 1], "<u2").tobytes()
    form += np.array([RATE, 2 * RATE], "<u4").tobytes() + np.array([2, 16], "<u2").tobytes()
    return b"RIFF\xff\xff\xff\x7fWAVEfmt " + form + b"data\xff\xff\xff\x7f" + samples


async def bangs_heard(address: str, seconds: float) -> tuple[list[tuple[int, datetime]], float]:
    """Listen until the second bang; return the epoch and the time of each, and the seconds that were lost."""
    open_source = opener(parse_spec(f"http://{address}/live.wav"), RATE)
    source = Source("box", open_source, Grid(RATE, RATE // 4, RATE // 4), AudioConfig(), restarts=True, room=True)
    task = asyncio.create_task(source.run())
    heard: list[tuple[int, datetime]] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for item in source.poll(16):
            if isinstance(item, Window) and (loud := np.flatnonzero(np.abs(item.samples) > 0.1)).size:
                at = item.utc(item.start + int(loud[0]))
                if not heard or (at - heard[-1][1]).total_seconds() > 0.5:
                    heard.append((item.epoch, at))
                    end = time.monotonic() + 0.5 if len(heard) == 2 else end
        await asyncio.sleep(0.01)
    lost = source.health().lost
    source.stop()
    while not source.done:
        source.poll(16)
        await asyncio.sleep(0.01)
    await task
    return heard, lost


@pytest.mark.parametrize("lossy", [True, False])
async def test_a_sound_after_a_disturbance_has_its_time(lossy: bool) -> None:
    """After 1.5 s without data, a sound is on time to 0.3 s: in a new epoch if they are lost, in the same if late."""
    bangs = (3.5, 6.5)
    body, sent = wav(*bangs, seconds=8), {}

    def log_sent(at: int, now: float) -> None:
        for bang in bangs:
            if at <= 44 + bang * 2 * RATE < at + RATE // 10:
                sent[bang] = now

    disturbance = (round(4 * 2 * RATE), 1.5, lossy)
    with serving(web(body, pace=2 * RATE, disturbance=disturbance, sent=log_sent)) as address:
        heard, lost = await bangs_heard(address, 20)
    assert [epoch for epoch, _ in heard] == ([0, 1] if lossy else [0, 0])
    assert lost == pytest.approx(1.5 if lossy else 0.0, abs=0.3)
    now = datetime.now(UTC).timestamp() - time.monotonic()
    for (_, at), bang in zip(heard, bangs, strict=True):
        assert at.timestamp() == pytest.approx(now + sent[bang], abs=0.3)
