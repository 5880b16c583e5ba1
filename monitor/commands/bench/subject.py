"""The model that is measured, in a process that holds nothing else."""

import json
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monitor.classify.model import Model
from monitor.classify.open import open_any
from monitor.commands.bench.rounds import Loaded, Memory
from monitor.config.schema import ModelConfig
from monitor.errors import ModelError
from monitor.onnx import PROVIDERS, open_session

PROFILED = 3
"""Least number of runs to profile."""
SECONDS = 1.0
"""Seconds of profiling, so that a moment in which the machine was busy with other work does not count."""
CONVOLUTIONS = ("Conv", "FusedConv", "QLinearConv", "ConvInteger")


class Subject:
    """Loads a model, and runs it on noise as loud as a quiet room."""

    def __init__(self, config: ModelConfig) -> None:
        self._config = config
        self._model: Model
        self._before, _ = _resident()

    def load(self) -> Loaded:
        """Open the model as every command does."""
        begun = time.perf_counter()
        self._model = open_any(Path(self._config.name), self._config)
        spent = time.perf_counter() - begun
        card = self._model.card
        return Loaded(
            name=card.name,
            path=card.path,
            provider=self._model.provider,
            size=card.size,
            window=card.window / card.sample_rate,
            load=spent,
        )

    def run(self, batch: int) -> float:
        """Run one inference; return its seconds."""
        noise = np.random.default_rng(batch).standard_normal((batch, self._model.card.window), np.float32)
        waveforms = np.clip(0.01 * noise, -1, 1)
        begun = time.perf_counter()
        try:
            self._model.run(waveforms)
        except Exception as error:  # ONNX Runtime's errors have no common base
            raise ModelError(f"{self._model.card.path}: cannot run {batch} windows at once") from error
        return time.perf_counter() - begun

    def memory(self) -> Memory:
        """Return the memory beyond what the process took before it had a model."""
        now, peak = _resident()
        if self._before is None or now is None or peak is None:
            return Memory(None, None)
        return Memory(now - self._before, peak - self._before)

    def front_end(self) -> float | None:
        """Return the share of the front end, from ONNX Runtime's profile, which covers the CPU only."""
        card = self._model.card
        if self._model.provider != PROVIDERS["cpu"]:
            return None
        return front_end_share(Path(card.path), card.window)


def _resident() -> tuple[int | None, int | None]:
    """Bytes of memory that this process takes, and its peak; None without /proc."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None, None
    found = {key: 1024 * int(value) for key, value in re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB$", status, re.MULTILINE)}
    return found.get("VmRSS"), found.get("VmHWM")


def front_end_share(path: Path, window: int) -> float | None:
    """Measure the share of the log-mel front end in a run, in [0, 1]: on the CPU, one window, one thread.

    A log-mel front end ends with the first logarithm of its graph. None if there is no logarithm, if a convolution runs
    before it (the front end then does not end where the network begins), or if the graph takes no waveform.
    """
    with tempfile.TemporaryDirectory() as folder:
        session = open_session(path, profile=f"{folder}/profile")
        if [value.name for value in session.get_inputs()] != ["waveform"]:
            return None
        noise = np.random.default_rng(0).uniform(-0.1, 0.1, (1, window)).astype(np.float32)
        begun, runs = time.monotonic(), 0
        while runs < PROFILED or time.monotonic() < begun + SECONDS:
            session.run(None, {"waveform": noise})
            runs += 1
        return share_until_log(json.loads(Path(session.end_profiling()).read_text()))


def share_until_log(events: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the share of the nodes' time up to the first logarithm, with each node's median time over the runs.

    `events`: ONNX Runtime's profile: the nodes of each run in the order in which they ran, then "model_run".
    """
    runs = sum(event["name"] == "model_run" for event in events)
    nodes = [event for event in events if event["cat"] == "Node"]
    operators = [node["args"]["op_name"] for node in nodes[: len(nodes) // max(1, runs)]]
    if "Log" not in operators:
        return None
    front = operators.index("Log") + 1
    if any(operator in CONVOLUTIONS for operator in operators[:front]):
        return None
    times = np.median(np.array([node["dur"] for node in nodes], np.float64).reshape(runs, len(operators)), axis=0)
    return float(times[:front].sum() / times.sum())
