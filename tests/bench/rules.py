"""What the default rules find and where they misfire: `python -m tests.bench.rules MODEL --data DIR [--keep-out NAME]`.

The recordings that a training run kept out (the val split, and what `--keep-out` names) are played one after the other,
with silence between, through `sound-monitor analyze`. A recording counts as found if the rule of its event fires in it;
a rule that fires in any other recording counts as a false alarm, though some hold the sound all the same.
"""

import argparse
import bisect
import json
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table

from models.train.data import corpus
from models.train.data.events import EVENT_NAMES
from models.train.networks.frontend import SAMPLE_RATE
from monitor.config.schema import DEFAULT_RULES

GAP = 4
"""Seconds of silence after each recording: longer than any rule holds."""


def write(recordings: corpus.Corpus, numbers: list[int], path: Path) -> list[float]:
    """All recordings in one sound file; the second at which each begins."""
    starts, position = [], 0
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1) as file:
        for number in numbers:
            samples = np.pad(recordings.samples(number), (0, GAP * SAMPLE_RATE))
            file.write(samples)
            starts.append(position / SAMPLE_RATE)
            position += len(samples)
    return starts


def fired(model: str, config: Path | None, path: Path) -> list[tuple[str, float]]:
    """Label and second of every detection."""
    command = [sys.executable, "-m", "monitor", "analyze", str(path), "--model", model, "--format", "jsonl"]
    command += ["--config", str(config)] if config else []
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(run.stderr)
    return [(found["label"], found["start"]) for found in map(json.loads, run.stdout.splitlines())]


def main() -> None:
    """Parse the arguments, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a model file or name")
    parser.add_argument("--data", type=Path, required=True, help="recordings and manifest.csv")
    parser.add_argument("--work", type=Path, default=Path("build/train"), help="where the decoded audio is kept")
    parser.add_argument("--keep-out", action="append", default=[], help="a source or an ESC-50 fold, whole")
    parser.add_argument("--config", type=Path, help="rules to try instead of the default ones, by the same labels")
    arguments = parser.parse_args()

    recordings = corpus.load(arguments.data, arguments.work, arguments.keep_out)
    numbers = [number for number, clip in enumerate(recordings.clips) if clip.split == "val"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "held-out.wav"
        starts = write(recordings, numbers, path)
        detections = fired(arguments.model, arguments.config, path)

    found: dict[str, set[int]] = defaultdict(set)
    misfires: Counter[str] = Counter()
    events = {rule.label: {EVENT_NAMES.index(c) for c in rule.classes if c in EVENT_NAMES} for rule in DEFAULT_RULES}
    for label, second in detections:
        number = numbers[bisect.bisect(starts, second + GAP / 8) - 1]  # an onset may be put a little early
        if recordings.clips[number].event in events[label]:
            found[label].add(number)
        else:
            misfires[label] += 1

    hours = sum(float(np.diff(recordings.bounds)[number]) for number in numbers) / SAMPLE_RATE / 3600
    table = Table("Rule", "Found", "False alarms", title=f"{arguments.model}: {len(numbers)} recordings, {hours:.2f} h")
    for label, wanted in events.items():
        there = sum(recordings.clips[number].event in wanted for number in numbers)
        if wanted:
            table.add_row(label, f"{len(found[label])} of {there}", str(misfires[label]))
    Console().print(table)


if __name__ == "__main__":
    main()
