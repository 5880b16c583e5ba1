"""Where the time of a model goes, by ONNX Runtime's own clock."""

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monitor.onnx import open_session

LEAST = 3
"""Runs that are profiled."""
SECONDS = 1.0
"""How long more runs follow, so that a stretch in which the machine was busy with other things does not count."""
CONVOLUTIONS = ("Conv", "FusedConv", "QLinearConv", "ConvInteger")


def front_end_share(path: Path, window: int) -> float | None:
    """The share of a run, in [0, 1], until the spectrum's logarithm is there; on the CPU, one window, one thread.

    A log-mel front end ends with the first logarithm of its graph. None where there is none, where a convolution runs
    before it, so that the network does not begin where the front end ends, or where the graph takes no waveform.
    """
    with tempfile.TemporaryDirectory() as folder:
        session = open_session(path, profile=f"{folder}/profile")
        if [value.name for value in session.get_inputs()] != ["waveform"]:
            return None
        noise = np.random.default_rng(0).uniform(-0.1, 0.1, (1, window)).astype(np.float32)
        begun, runs = time.monotonic(), 0
        while runs < LEAST or time.monotonic() < begun + SECONDS:
            session.run(None, {"waveform": noise})
            runs += 1
        return share_until_log(json.loads(Path(session.end_profiling()).read_text()))


def share_until_log(events: Sequence[Mapping[str, Any]]) -> float | None:
    """The share of the nodes' time up to the first logarithm, each node's time in the median of the runs.

    `events`: ONNX Runtime's profile: the nodes of each run in the order in which they ran, and then "model_run".
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
