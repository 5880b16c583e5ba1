"""Published networks side by side: `python -m tests.bench.zoo FAMILY... [--rounds N] [--checkpoint FILE]`.

The network as it was published, in eager PyTorch; our float32 and int8 files in ONNX Runtime; the same files in
OpenVINO where that is installed. One window, one thread, one process; counted in processor time, which other programs
hardly change. The contenders take turns within each round, so that a machine whose speed drifts slows all of
them alike; the ratio of medians is what counts. Without a checkpoint the weights are seeded: the time does not depend
on them. int8 is calibrated on seeded sounds, so it serves for time only.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from monitor.zoo.catalogue import load_family
from monitor.zoo.export import export, metadata_for, sounds
from monitor.zoo.family import Family, StateDict
from monitor.zoo.frontend import LogMel
from monitor.zoo.mel import slaney_bank
from monitor.zoo.quantize import quantize
from tests.zoo.seeded import clip, golden_keys, state_dict

GOLDEN = {
    "convnext-tiny": "convnext_tiny",
    "panns-cnn14": "Cnn14",
    "panns-wavegram-logmel-cnn14": "Wavegram_Logmel_Cnn14",
    "panns-mobilenetv1": "MobileNetV1",
    "panns-mobilenetv2": "MobileNetV2",
}
CALIBRATION = 4
"""Windows that int8 is calibrated on."""

Contender = Callable[[NDArray[np.float32]], object]
"""Waveform float32[1, samples] to an answer."""


class PublishedLogMel(nn.Module):
    """Log-mel as in the published code: the whole DFT as two strided convolutions."""

    def __init__(self, bands: int, rate: int = 32_000, size: int = 1024, hop: int = 320) -> None:
        """`rate` in hertz; `size` and `hop` in samples."""
        super().__init__()
        self.hop, self.pad = hop, size // 2
        angle = 2 * np.pi / size * np.outer(np.arange(size // 2 + 1), np.arange(size))
        window = np.sin(np.pi * np.arange(size) / size) ** 2
        self.real = nn.Parameter(torch.from_numpy((window * np.cos(angle))[:, None].astype(np.float32)))
        self.imaginary = nn.Parameter(torch.from_numpy((window * np.sin(angle))[:, None].astype(np.float32)))
        self.bank = nn.Parameter(torch.from_numpy(slaney_bank(rate, size, bands, 50, 14_000)))

    def forward(self, waveform: Tensor) -> Tensor:
        """float32[batch, samples] to decibels float32[batch, frames, bands]."""
        padded = F.pad(waveform[:, None], (self.pad, self.pad), mode="reflect")
        real, imaginary = (F.conv1d(padded, basis, stride=self.hop) for basis in (self.real, self.imaginary))
        power = (real**2 + imaginary**2).transpose(1, 2) @ self.bank
        return 10 * torch.log10(power.clamp(min=1e-10))


def contenders(family: Family, state: StateDict, folder: Path) -> dict[str, Contender]:
    """What is compared, by name."""
    network = family.build(state, family.window)
    floating, quantised = folder / "float.onnx", folder / "int8.onnx"
    metadata = metadata_for(
        family.name,
        family=family.name,
        sample_rate=family.sample_rate,
        window=family.window,
        labels=family.labels(),
        licence=family.licence,
        source=family.source,
    )
    shortest = family.shortest if family.variable else None
    difference = export(family.fold(network), floating, metadata, window=family.window, shortest=shortest)
    print(f"{family.name}: the exported file differs from the network by {difference:.1e}")
    calibration = [clip(salt, family.window, family.sample_rate) for salt in range(CALIBRATION)]
    quantize(floating, quantised, calibration, family.quantization)
    published = as_published(network)
    return {
        "PyTorch": lambda waveform: published(torch.from_numpy(waveform)),
        "ours float32": in_onnx_runtime(floating),
        "ours int8": in_onnx_runtime(quantised),
        **in_openvino({"OpenVINO float32": floating, "OpenVINO int8": quantised}, family.window),
    }


def as_published(network: nn.Module) -> nn.Module:
    """`network` with the published form of the log-mel where it has one."""
    frontend = getattr(network, "frontend", None)
    if isinstance(frontend, LogMel) and frontend.spectrum.frames.hop == 320 and frontend.pad == 512:
        network.frontend = PublishedLogMel(len(frontend.scale))
    return network


def in_onnx_runtime(path: Path) -> Contender:
    """A file in ONNX Runtime, set up as the monitor does."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda waveform: session.run(None, {"waveform": waveform})


def in_openvino(files: dict[str, Path], window: int) -> dict[str, Contender]:
    """The same files in OpenVINO; none where it is not installed."""
    try:
        import openvino  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return {}
    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1}

    def contender(path: Path) -> Contender:
        model = core.read_model(path)
        model.reshape([1, window])
        request = core.compile_model(model, "CPU", settings).create_infer_request()
        return lambda waveform: request.infer({"waveform": waveform})

    return {name: contender(path) for name, path in files.items()}


def compare(work: dict[str, Contender], waveform: NDArray[np.float32], rounds: int) -> dict[str, list[float]]:
    """Seconds of processor time of each contender in each round."""
    spent: dict[str, list[float]] = {name: [] for name in work}
    for number in range(rounds + 1):
        for name, run in work.items():
            begun = time.process_time()
            run(waveform)
            if number:  # the first warms up
                spent[name].append(time.process_time() - begun)
    return spent


def main() -> None:
    """Compare the families one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="+", metavar="FAMILY")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--checkpoint", type=Path, help="of the one family that is named")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    for name in options.families:
        family = load_family(name)
        state = family.read(options.checkpoint) if options.checkpoint else state_dict(golden_keys(GOLDEN[name]))
        with tempfile.TemporaryDirectory() as folder:
            work = contenders(family, state, Path(folder))
            spent = compare(work, sounds(1, family.window), options.rounds)
        medians = {contender: statistics.median(seconds) for contender, seconds in spent.items()}
        for contender, median in medians.items():
            ratio = medians["PyTorch"] / median
            print(f"  {contender:<18}{1000 * median:9.1f} ms{ratio:7.2f} times as fast as PyTorch")


if __name__ == "__main__":
    main()
