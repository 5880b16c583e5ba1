"""The cost of one live stream, stage by stage: `python -m tests.bench.stream [MODEL] [--rounds N]`.

The stages take turns within each round, so that a machine whose speed drifts slows all of them alike; medians are
printed, and the streams that one core carries at the given hop.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np

from monitor.audio.hearing import Hearing
from monitor.audio.inputs.recorder import HEADER, POLL, RingWriter
from monitor.audio.ring import RING_SECONDS
from monitor.audio.signal import Signal
from monitor.audio.windows import Grid, Windower
from monitor.classify.classifier import Classifier
from monitor.classify.model import NativeModel
from monitor.classify.open import find_model
from monitor.config.schema import Config
from monitor.detect.rules import resolve
from monitor.messages import Window
from monitor.pipeline import SourceTrack

DEVICE_RATE = 48_000
BLOCK = round(POLL * DEVICE_RATE)


def stages(model: str, hop_seconds: float) -> dict[str, tuple[Callable[[], object], float]]:
    """The work of each stage, and how often a stream needs it in a second."""
    session = NativeModel(find_model(model))
    card = session.card
    hop = round(hop_seconds * card.sample_rate)
    rules = resolve(Config().detection, card.labels, card.window / card.sample_rate, hop_seconds)
    track = SourceTrack("s", "node", card, rules, hop)
    classifier = Classifier(session, batch=16)
    memory = bytearray(HEADER + round(RING_SECONDS * DEVICE_RATE) * 4)
    ring, signal = RingWriter(memory, 4), Signal(DEVICE_RATE, card.sample_rate, hearing=Hearing())
    windower = Windower("s", 0, Grid(card.sample_rate, card.window, hop), lambda _: datetime.now(UTC))
    rng = np.random.default_rng(0)
    block = rng.uniform(-0.1, 0.1, (BLOCK, 1)).astype(np.float32).tobytes()
    device_hop = rng.uniform(-0.1, 0.1, (round(hop_seconds * DEVICE_RATE), 1)).astype(np.float32)
    model_hop = device_hop[:hop, 0].copy()
    samples = rng.uniform(-0.1, 0.1, card.window).astype(np.float32)
    windows = [Window("s", 0, n * hop, card.sample_rate, samples, datetime.now(UTC)) for n in range(16)]
    (scores,) = asyncio.run(classifier.run(windows[:1]))
    windower.push(np.zeros(card.window, np.float32))

    def cut() -> None:
        windower.push(model_hop)
        windower.take()

    per_second = 1 / hop_seconds
    return {
        f"ring write, {1000 * POLL:g} ms at 48 kHz": (lambda: ring.write(block, overflowed=False), 1 / POLL),
        "one hop from 48 kHz to the model's": (lambda: signal.push(device_hop), per_second),
        "cut a window": (cut, per_second),
        "inference, batch 1": (lambda: session.run(samples[None]), 0.0),
        "inference, batch of 16": (lambda: session.run(np.stack([w.samples for w in windows])), per_second / 16),
        "track": (lambda: track.update(windows[0], scores), per_second),
        "snapshot": (lambda: track.snapshot(windows[0], scores), per_second),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default=Config().model.name)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--hop", type=float, default=Config().model.hop, help="seconds")
    arguments = parser.parse_args()
    work = stages(arguments.model, arguments.hop)
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(arguments.rounds):
        for name, (run, _) in work.items():
            begun = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - begun)
    total = 0.0
    print(f"{'stage':<32} {'median':>9} {'p95':>9}   a second of a stream")
    for name, (_, rate) in work.items():
        median, p95 = statistics.median(times[name]), float(np.quantile(times[name], 0.95))
        total += median * rate
        print(f"{name:<32} {1e6 * median:7.0f} µs {1e6 * p95:7.0f} µs   {1e6 * median * rate:7.0f} µs")
    print(f"streams a core at a hop of {arguments.hop:g} s: {1 / total:.0f}")


if __name__ == "__main__":
    main()
