"""`bench`: the figures, the order of the measurements, and the report."""

import json
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from monitor.commands.bench.rounds import LEAST, Loaded, Memory, measure
from monitor.commands.bench.subject import share_until_log
from tests.parts.cli import BUNDLED, Program


class Fake:
    """A model whose inferences report a given time and take none."""

    def __init__(self, name: str, window: float, overhead: float, diary: list[str]) -> None:
        self.loaded = Loaded(name=name, path=name, provider="none", size=1, window=1.0, load=0.1)
        self._window, self._overhead, self._diary = window, overhead, diary

    def run(self, batch: int) -> float:
        """The time of each window, and the overhead once."""
        self._diary.append(f"{self.loaded.name} {batch}")
        return self._overhead + batch * self._window

    def memory(self) -> Memory:
        """No figures."""
        return Memory(None, None)

    def front_end(self) -> float | None:
        """A quarter of the time."""
        return 0.25


def test_figures_are_those_of_the_runs() -> None:
    """Median, batches, and streams per thread come from the runs and the best configured batch."""
    fake = Fake("fast", window=0.004, overhead=0.006, diary=[])
    [figures] = measure([(fake.loaded, fake)], seconds=20, hop=0.5, threads=2, most=4, between=lambda _: None)
    assert (figures.p50, figures.p95, figures.spread) == pytest.approx((0.010, 0.010, 0.0))
    assert list(figures.windows_per_second) == [1, 2, 4, 8, 16, 32, 64]
    assert figures.windows_per_second[64] == pytest.approx(64 / 0.262)
    assert figures.streams_per_core == pytest.approx(4 / 0.022 * 0.5 / 2)
    assert figures.front_end == 0.25


def test_models_take_turns() -> None:
    """Models alternate, with single windows and with batches."""
    diary: list[str] = []
    fakes = [Fake(name, window=0.06, overhead=0.0, diary=diary) for name in ("a", "b")]
    measure([(fake.loaded, fake) for fake in fakes], seconds=2, hop=0.25, threads=1, most=16, between=lambda _: None)
    singles = [entry for entry in diary if entry.endswith(" 1")]
    assert singles[:6] == ["a 1", "a 1", "b 1", "b 1", "a 1", "a 1"]
    assert [entry for entry in diary if entry.endswith(" 2")] == ["a 2", "b 2"] * 3


def test_a_slow_model_ends_in_time() -> None:
    """A slow model runs a few single windows, and only the batches that fit into the time."""
    diary: list[str] = []
    fake = Fake("slow", window=3.0, overhead=0.0, diary=diary)
    [figures] = measure([(fake.loaded, fake)], seconds=16, hop=0.25, threads=1, most=16, between=lambda _: None)
    assert figures.runs == LEAST
    assert diary == ["slow 1"] * LEAST + ["slow 2"]
    assert list(figures.windows_per_second) == [1, 2]


def profile(*runs: list[tuple[str, int]]) -> list[dict[str, object]]:
    """A profile as ONNX Runtime writes it: operators with their microseconds, for each run."""
    events: list[dict[str, object]] = [{"cat": "Session", "name": "model_loading_uri", "dur": 9}]
    for run in runs:
        events += [{"cat": "Node", "name": "a", "dur": spent, "args": {"op_name": name}} for name, spent in run]
        events.append({"cat": "Session", "name": "model_run", "dur": 999})
    return events


def test_the_front_end_ends_with_the_logarithm() -> None:
    """The share uses the median of the runs, and later logarithms belong to the network."""
    quiet = [("MatMul", 20), ("Log", 5), ("Conv", 50), ("Log", 25)]
    disturbed = [("MatMul", 2000), ("Log", 5), ("Conv", 50), ("Log", 25)]
    assert share_until_log(profile(quiet, disturbed, quiet)) == 0.25


@pytest.mark.parametrize("run", [[("MatMul", 20), ("Conv", 50)], [("Conv", 20), ("Log", 5), ("MatMul", 50)]])
def test_a_front_end_that_cannot_be_separated(run: list[tuple[str, int]]) -> None:
    """Without a logarithm, or after a convolution, there is no share."""
    assert share_until_log(profile(run)) is None


def test_the_tables(program: Program) -> None:
    """The tables have a row for each model; an invalid file is reported and does not stop the others."""
    (program.models / "broken.onnx").write_bytes(b"no model")
    done = program.run("bench", "--seconds", "0.2")
    assert done.code == 65
    assert "broken.onnx: not a" in done.err
    lines = done.out.splitlines()
    assert lines[0].split()[:4] == ["model", "window", "load", "memory"]
    assert [line.split()[0] for line in lines[1:6]] == [*BUNDLED, "tiny"]
    assert [line.split()[0] for line in lines[8:14]] == ["model", *BUNDLED, "tiny"]
    assert "ONNX Runtime" in lines[15]


def test_figures_as_json(program: Program) -> None:
    """JSON has all figures and the settings that were given."""
    done = program.run("bench", "tiny", "--seconds", "0.3", "--json", "--hop", "0.5", "--threads", "2")
    assert (done.code, done.err) == (0, "")
    report = json.loads(done.out)
    assert (report["machine"]["hop"], report["machine"]["threads"]) == (0.5, 2)
    [model] = report["models"]
    assert model["model"]["provider"] == "CPUExecutionProvider"
    assert model["model"]["window"] == 0.975
    assert 0 < model["p50"] <= model["p95"]
    assert model["memory"]["now"] <= model["memory"]["peak"]
    best = max(rate for batch, rate in model["windows_per_second"].items() if int(batch) <= 16)
    np.testing.assert_allclose(model["streams_per_core"], best * 0.5 / 2)


def test_ctrl_c_ends_all_processes(program: Program) -> None:
    """Ctrl-C ends the program without a message, with the processes that it started."""
    process = program.start("bench", "tiny", "--seconds", "600")
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while not (children := listed.read_text().split()):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30) == (b"", b"")
    assert process.returncode == 130
    while any(Path(f"/proc/{child}").exists() for child in children):
        time.sleep(0.05)
