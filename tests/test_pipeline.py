"""The pipeline with real windows, a real model and real decisions; only the devices are simulated."""

import asyncio
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from monitor.audio.inputs.capture import Capture, Opener
from monitor.audio.inputs.feeder import Feeder
from monitor.audio.source import Source
from monitor.audio.windows import Grid
from monitor.classify.classifier import Classifier
from monitor.classify.model import NativeModel
from monitor.config.schema import AudioConfig, DetectionConfig, RuleConfig
from monitor.detect.rules import resolve
from monitor.errors import SourceError
from monitor.hub import Hub
from monitor.messages import Detection, Phase, Samples, Scores, Snapshot, Window
from monitor.pipeline import Pipeline, SourceTrack, time_ordered_id
from tests.parts.tiny_model import write_tiny_model

RATE, HOP = 16000, 4000

LOUD = DetectionConfig(rules=(RuleConfig(label="Loud", preset="impulsive"),))


def burst(at: float, length: float = 5.0) -> Samples:
    """A quiet room with a loud sound of 0.6 s at `at` seconds."""
    audio = (1e-4 * np.random.default_rng(0).standard_normal(int(length * RATE))).astype(np.float32)
    begin = int(at * RATE)
    audio[begin : begin + 9600] += 0.5 * np.sin(np.arange(9600) * 0.5).astype(np.float32)
    return audio[:, None]


class Run:
    """One run of a pipeline over some sources, each a float32[n, 1] at 16 kHz, with its results."""

    def __init__(self, model: Path, audio: dict[str, Samples], fails: Sequence[str] = ()) -> None:
        self.session = NativeModel(write_tiny_model(model))
        self.audio, self.fails = audio, fails
        self.recorded: list[Detection] = []
        self.snapshots: list[Snapshot] = []

    async def run(self) -> None:
        """Run the pipeline to the end of all sources."""
        card = self.session.card
        rules = resolve(LOUD, card.labels, 0.975, 0.25)
        classifier, hub = Classifier(self.session, batch=4), Hub()
        sources = [
            Source(name, self.opener(name), Grid(RATE, card.window, HOP), AudioConfig(), restarts=False, room=False)
            for name in self.audio
        ]
        tracks = {name: SourceTrack(name, "node", card, rules, HOP) for name in self.audio}
        subscription = hub.subscribe(Snapshot, capacity=10_000)
        pipeline = Pipeline(sources, classifier, tracks, self, hub)
        async with asyncio.TaskGroup() as tasks:
            for source in sources:
                tasks.create_task(source.run())
            await pipeline.run()
            hub.close()
        async for message in subscription:
            if isinstance(message, Snapshot):
                self.snapshots.append(message)
        classifier.close()

    def opener(self, name: str) -> Opener:
        """The opener of this source, which fails for those in `fails`."""

        def open_() -> Capture:
            if name in self.fails:
                raise SourceError(f"{name} is broken")
            blocks = (block for block in np.array_split(self.audio[name], 7))
            return Feeder(blocks, rate=RATE, channels=1, device=name, live=False)

        return open_

    def record(self, detection: Detection) -> None:
        """Record a detection."""
        self.recorded.append(detection)


async def test_a_detection_has_the_times_of_the_sound(tmp_path: Path) -> None:
    """A loud sound at 2.3 s gives one start and one end, with times that differ by its length and one id."""
    run = Run(tmp_path / "tiny.onnx", {"kitchen": burst(2.3)})
    await run.run()
    started, ended = run.recorded
    assert (started.phase, ended.phase) == (Phase.STARTED, Phase.ENDED)
    assert (started.label, started.source, started.node, started.id) == ("Loud", "kitchen", "node", ended.id)
    assert ended.ended_at is not None
    assert (ended.ended_at - started.started_at).total_seconds() == pytest.approx(0.6, abs=0.5)
    first = run.snapshots[0].at  # the end of the first window: 0.975 s
    assert (started.started_at - first).total_seconds() == pytest.approx(2.3 - 0.975, abs=0.05)


async def test_a_clock_that_is_set_does_not_stretch_a_sound(tmp_path: Path) -> None:
    """The length of a sound comes from its samples: it is the same if the clock is set while it is on."""
    model = NativeModel(write_tiny_model(tmp_path / "tiny.onnx"))
    rules = resolve(LOUD, model.card.labels, 0.975, 0.25)
    lengths = []
    for jump in (0, 3600, -3600, 800 * 86_400):
        track = SourceTrack("room", "node", model.card, rules, HOP)
        changes = []
        for number in range(12):
            at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(
                seconds=number * HOP / RATE + (jump if number >= 5 else 0)
            )
            loud = np.array([0.9, 0.1] if number in (4, 5, 6) else [0.1, 0.9], np.float32)
            window = Window("room", 0, number * HOP, RATE, np.zeros(model.card.window, np.float32), at)
            changes += track.update(window, Scores(loud, None))
        started, ended = changes
        assert ended.ended_at is not None
        lengths.append(ended.ended_at - started.started_at)
    assert len(set(lengths)) == 1
    assert timedelta(0) < lengths[0] < timedelta(seconds=5)


async def test_sources_share_batches_without_mixing(tmp_path: Path) -> None:
    """Each source keeps its own scores: only the loud ones are detected."""
    quiet = burst(1.0)
    quiet[:] = quiet[:10].mean()
    run = Run(tmp_path / "tiny.onnx", {"loud": burst(1.0), "quiet": quiet, "late": burst(4.0)})
    await run.run()
    starts = [detection.source for detection in run.recorded if detection.phase is Phase.STARTED]
    assert sorted(starts) == ["late", "loud"]
    windows = {name: sum(snapshot.source == name for snapshot in run.snapshots) for name in run.audio}
    assert set(windows.values()) == {-(-(5 * RATE - 15600) // HOP) + 1}


async def test_a_broken_source_does_not_stop_the_others(tmp_path: Path) -> None:
    """One source fails to open, the other is analysed to its end."""
    run = Run(tmp_path / "tiny.onnx", {"good": burst(1.0), "bad": burst(1.0)}, fails=["bad"])
    await run.run()
    assert [detection.source for detection in run.recorded] == ["good", "good"]


async def test_a_sound_that_is_on_ends_with_its_source(tmp_path: Path) -> None:
    """A sound that lasts to the end of the file ends with the file."""
    run = Run(tmp_path / "tiny.onnx", {"s": burst(4.4)})
    await run.run()
    started, ended = run.recorded
    assert ended.ended_at is not None
    assert (ended.ended_at - started.started_at).total_seconds() == pytest.approx(0.6, abs=0.1)


async def test_snapshots_have_the_level_and_the_top_labels(tmp_path: Path) -> None:
    """Labels are sorted by score, and those whose rule is on are marked."""
    run = Run(tmp_path / "tiny.onnx", {"s": burst(2.0)})
    await run.run()
    loud = [snapshot for snapshot in run.snapshots if snapshot.labels[0].label == "Loud"]
    quiet = [snapshot for snapshot in run.snapshots if snapshot.labels[0].label == "Quiet"]
    assert loud
    assert any(snapshot.labels[0].active for snapshot in loud)
    assert not any(label.active for label in quiet[0].labels)
    assert max(snapshot.level for snapshot in run.snapshots) == pytest.approx(-9, abs=1)
    assert quiet[0].level == pytest.approx(-80, abs=1)
    for snapshot in run.snapshots:
        scores = [label.score for label in snapshot.labels]
        assert scores == sorted(scores, reverse=True)


class SlowNativeModel(NativeModel):
    """A model that takes 0.15 s for every batch, whatever its size."""

    def run(self, waveforms: Samples) -> tuple[Samples, Samples | None]:
        """Run the model, slowly."""
        time.sleep(0.15)
        return super().run(waveforms)


async def test_overload_drops_whole_hops_and_stays_current(tmp_path: Path) -> None:
    """With a model slower than real time, windows are dropped and counted, and the lag stays bounded."""
    session = SlowNativeModel(write_tiny_model(tmp_path / "tiny.onnx"))
    grid = Grid(RATE, session.card.window, HOP // 4)
    classifier, hub, lags = Classifier(session, batch=1), Hub(), []
    audio = burst(1.0, 6.0)

    def opener() -> Capture:
        blocks = (block for block in np.array_split(audio, 60))
        return Feeder(blocks, rate=RATE, channels=1, device="file", live=True)

    source = Source("s", opener, grid, AudioConfig(), restarts=False, room=False)
    rules = resolve(LOUD, session.card.labels, 0.975, 0.0625)

    class Lags:
        def record(self, detection: Detection) -> None:
            lags.append(source.lag)

    tracks = {"s": SourceTrack("s", "node", session.card, rules, grid.hop)}
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(source.run())
        await Pipeline([source], classifier, tracks, Lags(), hub).run()
    classifier.close()
    health = source.health()
    assert health.windows_dropped > 10
    possible = -(-(len(audio) - grid.window) // grid.hop) + 1
    assert health.windows_done + health.windows_dropped == possible
    assert len(lags) == 2
    assert max(lags) < 3.0


def test_ids_are_uuids_in_order_of_time() -> None:
    """Ids are UUIDs of version 7, and sort by time."""
    ids = []
    for _ in range(3):
        ids.append(time_ordered_id())
        begun = datetime.now().astimezone()
        while (datetime.now().astimezone() - begun).total_seconds() < 0.002:
            pass
    assert ids == sorted(ids)
    assert {uuid.UUID(text).version for text in ids} == {7}
    assert len(set(ids)) == 3
