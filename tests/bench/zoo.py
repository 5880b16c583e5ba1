"""Published networks side by side: `python -m tests.bench.zoo FAMILY... [--rounds N] [--checkpoint PATH]`.

The network as it was published, in eager PyTorch or LiteRT; our float32 and int8 files in ONNX Runtime; the same files
in OpenVINO where that is installed. One window, one thread, one process. The contenders take turns within each round,
so that a machine whose speed drifts slows all of them alike; the ratio of medians is what counts, of processor time
first, which other programs hardly change. Without a checkpoint the weights are seeded: the time does not depend on
them. int8 is calibrated on seeded sounds, so it serves for time only. Where a family's int8 is dynamic, which OpenVINO
runs slowly, a static one is timed beside it; making that of AST takes 9 GB of memory.

PyTorch spends a quarter of its time with AST on memory that it returns to the system and requests again for each
window; that time counts here.
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from monitor.messages import Samples
from monitor.zoo.build.export import export_network, sounds
from monitor.zoo.build.quantize import quantize
from monitor.zoo.catalogue import load_family
from monitor.zoo.family import AnyFamily, StateDict
from tests.bench.published import published
from tests.bench.runtimes import Contender, in_onnx_runtime, in_openvino
from tests.zoo.seeded import clip

CALIBRATION = 4
"""Windows to calibrate int8 on."""

Spent = dict[str, list[tuple[float, float]]]
"""Seconds of processor time and of wall time of each contender in each round."""


def contenders(family: AnyFamily, checkpoint: Path | None, folder: Path) -> dict[str, Contender]:
    """The contenders by name; the others are compared with the first."""
    theirs = published(family, checkpoint)
    ours = files(family, theirs.state, folder)
    return (
        theirs.contenders
        | {f"ours {kind}": in_onnx_runtime(path) for kind, path in ours.items()}
        | in_openvino({f"OpenVINO {kind}": path for kind, path in ours.items()}, family.window)
    )


def files(family: AnyFamily, state: StateDict, folder: Path) -> dict[str, Path]:
    """Our files of a network by kind."""
    network = family.build(state, family.window)
    floating = folder / "float32.onnx"
    difference = export_network(
        network,
        floating,
        family.metadata(family.spec(family.name)),
        window=family.window,
        shortest=family.shortest if family.variable else None,
        fold=family.fold,
    )
    print(f"{family.name}: the exported file differs from the network by {difference:.1e}")
    kinds = {"int8": family.quantization}
    if family.quantization.kind == "dynamic":
        kinds["static int8"] = replace(family.quantization, kind="static")
    for kind, quantization in kinds.items():
        calibration = [clip(salt, family.window, family.sample_rate) for salt in range(CALIBRATION)]
        quantize(floating, folder / f"{kind}.onnx", calibration, quantization)
    return {"float32": floating} | {kind: folder / f"{kind}.onnx" for kind in kinds}


def compare(work: dict[str, Contender], waveform: Samples, rounds: int) -> Spent:
    """Return what each contender spends on `waveform` in each round."""
    spent: Spent = {name: [] for name in work}
    for number in range(rounds + 1):
        for name, run in work.items():
            begun, begun_wall = time.process_time(), time.perf_counter()
            run(waveform)
            if number:  # the first warms up
                spent[name].append((time.process_time() - begun, time.perf_counter() - begun_wall))
    return spent


def report(spent: Spent) -> None:
    """Print the medians, and their ratios to the first contender's."""
    medians = {
        name: [statistics.median(seconds) for seconds in zip(*rounds, strict=True)] for name, rounds in spent.items()
    }
    first, (base, base_wall) = next(iter(medians.items()))
    print(f"  {'':<22}{'processor':>13}{'wall':>13}   times as fast as {first}: processor, wall")
    for name, (processor, wall) in medians.items():
        ratios = f"{base / processor:12.2f}{base_wall / wall:12.2f}"
        print(f"  {name:<22}{1000 * processor:10.1f} ms{1000 * wall:10.1f} ms{ratios}")


def main() -> None:
    """Compare the families one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="+", metavar="FAMILY")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--checkpoint", type=Path, help="of the one family that is named: a file; of ast and clap, the published folder"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    for name in options.families:
        family = load_family(name)
        with tempfile.TemporaryDirectory() as folder:
            work = contenders(family, options.checkpoint, Path(folder))
            report(compare(work, sounds(1, family.window), options.rounds))


if __name__ == "__main__":
    main()
