"""One source: opened, watched, lost, paused, opened again; never spliced, and counted completely."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial

import numpy as np
import pytest

from monitor.audio import source as source_module
from monitor.audio.inputs.capture import Capture
from monitor.audio.source import GROWTH, PATIENCE_MAX, PATIENCE_MIN, PROVEN, RETRY_MIN, Backoff, Source
from monitor.audio.windows import Grid
from monitor.config.schema import AudioConfig
from monitor.errors import SourceError
from monitor.messages import EpochEnd, Samples, SourceState, Window
from tests.parts.fake_capture import FakeCapture

GRID = Grid(rate=1000, window=100, hop=50)


def _same(capture: Capture) -> Capture:
    return capture


def noise(n: int) -> Samples:
    """Return n samples of noise, the same each time."""
    return np.random.default_rng(n).uniform(-0.1, 0.1, n).astype(np.float32)


@asynccontextmanager
async def listening(
    opener: Callable[[], Capture], *, restarts: bool = True, room: bool = True, **audio: float
) -> AsyncIterator[Source]:
    """Run a source; stop and empty it at the end."""
    config = AudioConfig(**{"stall_timeout": 0.5, "deaf_after": 1.0, "retry_max": 1.0, **audio})
    source = Source("kitchen", opener, GRID, config, restarts=restarts, room=room)
    task = asyncio.create_task(source.run())
    try:
        yield source
    finally:
        source.stop()
        await collect(source, lambda _: source.done)
        await task


async def collect(source: Source, enough: Callable[[list[Window | EpochEnd]], bool]) -> list[Window | EpochEnd]:
    """Collect what the source hands out until the condition holds."""
    items: list[Window | EpochEnd] = []
    deadline = time.monotonic() + 10
    while not enough(items):
        assert time.monotonic() < deadline, f"waited for too long, got {len(items)} items"
        items += source.poll(16)
        await asyncio.sleep(0.005)
    return items


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds; fail after ten seconds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited for too long"
        await asyncio.sleep(0.005)


async def test_hands_out_windows_of_what_was_captured() -> None:
    """Windows on the grid come first, then the end of the epoch with its true length."""
    capture, audio = FakeCapture(), noise(320)
    async with listening(lambda: capture) as source:
        capture.play(audio)
        windows = await collect(source, lambda items: len(items) == 5)
        for k, window in enumerate(windows):
            assert isinstance(window, Window)
            assert (window.start, window.epoch) == (k * 50, 0)
            assert np.array_equal(window.samples, audio[k * 50 : k * 50 + 100])
        source.stop()
        rest = await collect(source, lambda items: any(isinstance(item, EpochEnd) for item in items))
    last, end = rest
    assert isinstance(last, Window)
    assert last.start == 250
    assert not last.samples[70:].any()
    assert isinstance(end, EpochEnd)
    assert (end.end, end.epoch) == (320, 0)
    assert capture.closed
    assert source.health().captured == 0.32
    assert source.health().state is SourceState.ENDED


async def test_a_stalled_device_is_opened_again_as_a_new_epoch() -> None:
    """A device that delivers nothing is closed and opened again, and audio is not spliced."""
    captures: list[FakeCapture] = []

    def opener() -> Capture:
        captures.append(FakeCapture())
        return captures[-1]

    async with listening(opener) as source:
        await until(lambda: len(captures) == 1)
        captures[0].play(noise(130))
        items = await collect(source, lambda items: any(isinstance(item, EpochEnd) for item in items))
        assert source.health().state is SourceState.LOST
        assert "delivered nothing for 0.5 s" in source.health().reason
        await until(lambda: len(captures) == 2)
        captures[1].play(noise(100))
        items += await collect(source, lambda items: len(items) == 1)
        assert captures[0].closed
        assert [(type(item), item.epoch) for item in items] == [
            (Window, 0), (Window, 0), (EpochEnd, 0), (Window, 1)
        ]  # fmt: skip
        window = items[-1]
        assert isinstance(window, Window)
        assert window.start == 0
        health = source.health()
        assert (health.reopened, health.state, health.windows_done) == (1, SourceState.LISTENING, 3)
        assert health.captured == pytest.approx(0.23)


async def test_a_device_that_delivers_nothing_stays_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that opens without samples is lost over all its openings: the state changes once each way."""
    monkeypatch.setattr(source_module, "PATIENCE_MIN", 0.3)
    captures: list[FakeCapture] = []
    states: list[SourceState] = []

    def opener() -> Capture:
        captures.append(FakeCapture())
        return captures[-1]

    async with listening(opener) as source:
        source.on_change = lambda: states.append(source.health().state)
        await until(lambda: len(captures) == 1)
        assert source.health().state is SourceState.OPENING
        captures[0].play(noise(100))
        await until(lambda: source.health().state is SourceState.LISTENING)
        await collect(source, lambda _: len(captures) == 4)
        assert all(capture.closed for capture in captures[:-1])
        assert "delivered nothing for 0.5 s" in source.health().reason
        captures[-1].play(noise(100))
        await until(lambda: source.health().state is SourceState.LISTENING)
        assert states == [SourceState.LISTENING, SourceState.LOST, SourceState.LISTENING]
        assert source.health().reopened == 1


async def test_a_device_that_never_delivered_is_not_listening() -> None:
    """Without a first sample a source is opening, then lost while it stays open."""
    capture, states = FakeCapture(), []
    async with listening(lambda: capture) as source:
        source.on_change = lambda: states.append(source.health().state)
        await until(lambda: source.health().state is SourceState.LOST)
        assert not capture.closed
        capture.play(noise(10))
        await until(lambda: source.health().state is SourceState.LISTENING)
        assert states == [SourceState.LOST, SourceState.LISTENING]


async def test_a_recording_that_is_moved_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """When the sound server records from another device, its name is logged and published at once."""
    capture, devices = FakeCapture(), []
    async with listening(lambda: capture, stall_timeout=5.0) as source:
        capture.play(noise(10))
        await until(lambda: source.health().state is SourceState.LISTENING)
        source.on_change = lambda: devices.append(source.health().device)
        capture.device = "another device"
        await until(lambda: devices == ["another device"])
        assert "kitchen: now records from another device" in caplog.text
        assert source.health().state is SourceState.LISTENING


async def test_keeps_trying_to_open_a_missing_device(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing microphone causes one warning, and is used when it appears."""
    monkeypatch.setattr(source_module, "RETRY_MIN", 0.05)
    attempts, capture = 0, FakeCapture()

    def opener() -> Capture:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise SourceError("no such microphone")
        return capture

    async with listening(opener) as source:
        await until(lambda: source.health().state is SourceState.LOST)
        assert source.health().reason == "no such microphone"
        capture.play(noise(10))
        await until(lambda: source.health().state is SourceState.LISTENING)
    assert sum("no such microphone" in record.message for record in caplog.records) == 1


def test_the_wait_grows_up_to_its_limit() -> None:
    """Each failed attempt and each short piece of audio lengthens the wait; enough audio sets the shortest one."""
    backoff, waits = Backoff(longest=1.0), []
    for _ in range(3):
        backoff.failed()
        waits.append(backoff.wait)
    assert waits == [GROWTH * RETRY_MIN, GROWTH * GROWTH * RETRY_MIN, 1.0]
    backoff.lost(PROVEN - 1)
    assert backoff.wait == 1.0
    backoff.lost(PROVEN)
    assert backoff.wait == RETRY_MIN
    backoff.lost(PROVEN - 1)
    assert backoff.wait == GROWTH * RETRY_MIN


def test_the_patience_doubles_up_to_its_limit() -> None:
    """Each opening without samples is given twice the time; enough audio sets the shortest one."""
    backoff = Backoff(longest=3.0)
    backoff.failed()
    for _ in range(10):
        backoff.silent()
    assert (backoff.patience, backoff.wait) == (PATIENCE_MAX, RETRY_MIN)
    backoff.lost(PROVEN)
    assert backoff.patience == PATIENCE_MIN


async def test_a_file_that_fails_ends_with_its_failure() -> None:
    """A source that does not restart is opened once."""

    def opener() -> Capture:
        raise SourceError("door.wav does not exist")

    async with listening(opener, restarts=False) as source:
        await until(lambda: source.done)
        assert str(source.failure) == "door.wav does not exist"


async def test_a_file_that_fails_midway_hands_out_what_it_delivered() -> None:
    """Audio before a failure is still handed out."""
    capture = FakeCapture()
    async with listening(lambda: capture, restarts=False) as source:
        capture.play(noise(120))
        capture.failure = SourceError("damaged in the middle")
        items = await collect(source, lambda items: any(isinstance(item, EpochEnd) for item in items))
        assert [type(item) for item in items] == [Window, Window, EpochEnd]
        await until(lambda: source.done)
        assert str(source.failure) == "damaged in the middle"


async def test_an_overrun_is_counted_in_dropped_windows() -> None:
    """A reader that is too late for the ring skips to the newest window of the same epoch, and the books balance."""
    capture = FakeCapture(capacity=400)
    async with listening(lambda: capture) as source:
        for _ in range(10):
            capture.play(noise(150))
        (window,) = await collect(source, lambda items: bool(items))
        assert isinstance(window, Window)
        assert (window.epoch, window.end) == (0, 1500)
        health = source.health()
        assert (health.state, health.overflows) == (SourceState.LISTENING, 1)
        assert health.windows_done + health.windows_dropped == (1500 - 100) // 50 + 1


async def test_a_source_whose_windows_nobody_analyses_is_stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    """While samples arrive and nothing is analysed, the lag grows and the source is stalled, until it continues."""
    monkeypatch.setattr(source_module, "STALLED_AFTER", 0.6)
    capture, states = FakeCapture(), []
    async with listening(lambda: capture, stall_timeout=5.0) as source:
        capture.play(noise(200))
        await until(lambda: source.health().state is SourceState.LISTENING)
        source.on_change = lambda: states.append(source.health().state)
        for handed_out in (0, 2):  # first nobody takes a window, then the model hangs with two of them
            source.poll(handed_out)
            await until(lambda: source.health().state is SourceState.STALLED)
            assert "none were analysed for 0.6 s" in source.health().reason
            await until(lambda: source.health().lag > 1.0)
            for _ in source.poll(16):
                source.analysed(0.1)
            for _ in range(handed_out):
                source.analysed(0.1)
            await until(lambda: source.health().state is SourceState.LISTENING)
            assert source.health().lag == 0.1
            capture.play(noise(200))
        assert states == [SourceState.STALLED, SourceState.LISTENING] * 2


async def test_a_program_that_was_stopped_blames_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the whole program stood still, the device is not lost and the model does not hang: no state changes."""
    monkeypatch.setattr(source_module, "STALLED_AFTER", 0.6)
    capture, states = FakeCapture(), []
    async with listening(lambda: capture, stall_timeout=1.0) as source:
        capture.play(noise(300))
        await until(lambda: source.health().state is SourceState.LISTENING)
        source.on_change = lambda: states.append(source.health().state)
        time.sleep(2.0)  # noqa: ASYNC251 - all tasks stand still
        await asyncio.sleep(0.3)
        capture.play(noise(100))
        for _ in source.poll(16):
            source.analysed(0.1)
        await asyncio.sleep(0.3)
        assert states == []


async def test_a_source_without_a_complete_window_is_not_stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe that pauses within a window waits for its writer, not for the model."""
    monkeypatch.setattr(source_module, "STALLED_AFTER", 0.3)
    capture = FakeCapture(live=False)
    async with listening(lambda: capture, restarts=False) as source:
        capture.play(noise(130))
        assert len(await collect(source, lambda items: bool(items))) == 1
        source.analysed(0.1)
        await asyncio.sleep(1.0)
        assert (source.health().state, source.lag) == (SourceState.LISTENING, 0.1)


async def test_digital_silence_is_deafness_in_a_room_only() -> None:
    """Zeros for longer than `deaf_after` make a microphone deaf until there is noise; a file may be silent."""
    for room, expected in ((True, SourceState.DEAF), (False, SourceState.LISTENING)):
        capture = FakeCapture()
        async with listening(partial(_same, capture), room=room, stall_timeout=5.0) as source:
            for _ in range(3):
                capture.play(np.zeros(500, np.float32))
                await collect(source, lambda items: bool(items))
            await asyncio.sleep(0.6)
            assert source.health().state is expected
            capture.play(noise(100))
            await collect(source, lambda items: bool(items))
            await until(lambda: source.health().state is SourceState.LISTENING)


async def test_a_pipe_waits_until_its_windows_are_taken() -> None:
    """A source that is not live drops nothing, and is read only as fast as its windows are taken."""
    capture = FakeCapture(live=False)
    async with listening(lambda: capture, restarts=False) as source:
        capture.play(noise(2000))
        first = await collect(source, lambda items: len(items) >= 1)
        capture.play(noise(1500))
        for _ in range(20):
            await asyncio.sleep(0.01)
        assert capture.taken == 2000
        capture.finished = True
        rest = await collect(source, lambda items: any(isinstance(item, EpochEnd) for item in items))
        assert len(first + rest) == (3500 - 100) // 50 + 1 + 1
        assert source.health().windows_dropped == 0


async def test_a_slow_reader_of_a_live_source_skips_to_the_newest() -> None:
    """A reader more than a second behind loses whole windows, and they are counted."""
    capture = FakeCapture()
    async with listening(lambda: capture) as source:
        capture.play(noise(10))
        await until(lambda: source.health().state is SourceState.LISTENING)
        capture.play(noise(2990))
        (window,) = await collect(source, lambda items: bool(items))
        assert isinstance(window, Window)
        assert window.end == 3000
        assert source.health().windows_dropped == (3000 - 100) // 50


async def test_stop_does_not_wait_for_a_source_that_hangs_in_opening() -> None:
    """`stop` abandons an opening that hangs; a capture that opens later is closed."""
    release, capture = threading.Event(), FakeCapture()

    def opener() -> Capture:
        release.wait(10)
        return capture

    begun = time.monotonic()
    async with listening(opener):
        await asyncio.sleep(0.05)
    assert time.monotonic() - begun < 5
    release.set()
    await until(lambda: capture.closed)


async def test_a_paused_microphone_is_closed_and_opened_again_on_resume() -> None:
    """A pause ends the epoch, hands out its windows, and closes the device; it is neither a loss nor deafness."""
    captures: list[FakeCapture] = []

    def opener() -> Capture:
        captures.append(FakeCapture())
        return captures[-1]

    async with listening(opener) as source:
        await until(lambda: len(captures) == 1)
        captures[0].play(noise(120))
        await until(lambda: source.health().state is SourceState.LISTENING)
        source.pause(True)
        items = await collect(source, lambda items: any(isinstance(item, EpochEnd) for item in items))
        assert [(type(item), item.epoch) for item in items] == [(Window, 0), (Window, 0), (EpochEnd, 0)]
        assert captures[0].closed
        await asyncio.sleep(0.6)
        health = source.health()
        assert (health.state, health.reason, health.reopened) == (SourceState.PAUSED, "", 0)
        assert len(captures) == 1
        source.pause(False)
        await until(lambda: len(captures) == 2)
        captures[1].play(noise(100))
        (window,) = await collect(source, lambda items: bool(items))
        assert window.epoch == 1
        health = source.health()
        assert (health.reopened, health.windows_done, health.state) == (0, 3, SourceState.LISTENING)
        assert health.captured == pytest.approx(0.22)


async def test_a_source_that_starts_paused_is_not_opened() -> None:
    """A source that starts paused opens on resume, and `stop` ends it in any case."""
    capture, opened = FakeCapture(), 0

    def opener() -> Capture:
        nonlocal opened
        opened += 1
        return capture

    for resumed in (0, 1):
        source = Source("kitchen", opener, GRID, AudioConfig(), restarts=True, room=True)
        source.pause(True)
        task = asyncio.create_task(source.run())
        await until(lambda source=source: source.health().state is SourceState.PAUSED)  # type: ignore[misc]
        assert opened == 0
        if resumed:
            source.pause(False)
            await until(lambda: opened == 1)
        source.stop()
        await collect(source, lambda _, source=source: source.done)  # type: ignore[misc]
        await task


async def test_a_missing_or_slow_microphone_can_be_paused() -> None:
    """A pause ends the wait for the next attempt at once, and a capture that opens later is closed."""
    release, capture, attempts = threading.Event(), FakeCapture(), 0

    def opener() -> Capture:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise SourceError("away")
        if attempts == 2:
            release.wait(10)
        return capture

    async with listening(opener, retry_max=3600.0) as source:
        await until(lambda: source.health().state is SourceState.LOST)
        source.pause(True)
        await until(lambda: source.health().state is SourceState.PAUSED)
        source.pause(False)
        await until(lambda: attempts == 2)
        source.pause(True)
        await until(lambda: source.health().state is SourceState.PAUSED)
        release.set()
        await until(lambda: capture.closed)
        source.pause(False)
        capture.play(noise(10))
        await until(lambda: source.health().state is SourceState.LISTENING)


async def test_audio_of_a_file_or_pipe_during_a_pause_is_discarded() -> None:
    """A file or pipe stays open and its writer is not blocked; a new epoch begins after the pause."""
    capture, after = FakeCapture(live=False), noise(150)
    async with listening(lambda: capture, restarts=False) as source:
        capture.play(noise(100))
        await until(lambda: source.health().state is SourceState.LISTENING)
        source.pause(True)
        await collect(source, lambda items: any(isinstance(item, EpochEnd) for item in items))
        assert source.health().state is SourceState.PAUSED
        capture.play(noise(3000))
        await until(lambda: capture.taken == 3100)
        assert source.poll(16) == []
        assert not capture.closed
        source.pause(False)
        await until(lambda: source.health().state is SourceState.OPENING)
        capture.play(after)
        capture.finished = True
        items = await collect(source, lambda items: any(isinstance(item, EpochEnd) for item in items))
        window = items[0]
        assert isinstance(window, Window)
        assert (window.epoch, window.start) == (1, 0)
        assert np.array_equal(window.samples, after[:100])
        assert abs((datetime.now(UTC) - window.at).total_seconds()) < 2.0
        assert source.health().captured == pytest.approx(0.25)


async def test_a_file_may_end_while_paused() -> None:
    """A file that ends during a pause ends its source."""
    capture = FakeCapture()
    async with listening(lambda: capture, restarts=False) as source:
        capture.play(noise(10))
        await until(lambda: source.health().state is SourceState.LISTENING)
        source.pause(True)
        await collect(source, lambda _: source.health().state is SourceState.PAUSED)
        capture.finished = True
        await collect(source, lambda _: source.done)
        assert source.failure is None


@pytest.mark.parametrize("live", [True, False])
async def test_audio_after_a_gap_has_its_own_time(live: bool, caplog: pytest.LogCaptureFixture) -> None:
    """After a pause of 0.8 s a new epoch begins, on time to 0.3 s; the loss is counted, and is no reopening."""
    capture = FakeCapture(live=live)
    capture.current = True
    async with listening(lambda: capture, restarts=False, stall_timeout=5.0) as source:
        capture.play(noise(100))
        first = await collect(source, lambda items: bool(items))
        await asyncio.sleep(0.8)
        resumed = datetime.now(UTC)
        for _ in range(20):
            capture.play(noise(50))
            first += source.poll(16)
            await asyncio.sleep(0.05)
        items = first + await collect(source, lambda items: any(item.epoch for item in first + items))
        after = next(item for item in items if isinstance(item, Window) and item.epoch == 1)
        assert after.start == 0
        assert abs((after.at - resumed).total_seconds()) < 0.3
        health = source.health()
        assert health.lost == pytest.approx(0.8, abs=0.3)
        assert (health.reopened, health.state) == (0, SourceState.LISTENING)
        assert ("s of audio were lost" in caplog.text) == live


async def test_deafness_has_its_reason_and_a_warning_before(caplog: pytest.LogCaptureFixture) -> None:
    """A stuck value is a warning after half of `deaf_after`, then the state; the reason names the kind."""
    capture = FakeCapture()
    async with listening(lambda: capture, stall_timeout=5.0) as source:
        capture.play(np.full(700, 0.2, np.float32))
        await collect(source, lambda items: bool(items))
        await until(lambda: "kitchen may be deaf: stuck at one value for 0.5 s" in caplog.text)
        assert source.health().state is SourceState.LISTENING
        capture.play(np.full(600, 0.2, np.float32))
        await collect(source, lambda items: bool(items))
        await until(lambda: source.health().state is SourceState.DEAF)
        assert source.health().reason.startswith("stuck at one value for 1 s")


async def test_a_pipe_that_stops_ends_its_sounds_and_continues() -> None:
    """After the stall time an epoch ends, and the source is not listening; with the next samples it is again."""
    capture = FakeCapture(live=False)
    capture.current = True
    async with listening(lambda: capture, restarts=False, room=False, stall_timeout=0.5) as source:
        capture.play(noise(130))
        items = await collect(source, lambda items: any(isinstance(item, EpochEnd) for item in items))
        await until(lambda: source.health().state is SourceState.OPENING)
        capture.play(noise(130))
        items = await collect(source, lambda items: bool(items))
        assert items[0].epoch == 1
        assert source.health().state is SourceState.LISTENING
