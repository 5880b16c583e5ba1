"""A float model file to an int8 one, and how far its answers drift.

Static quantisation fixes the range of every activation beforehand, on real sound: u8 activations, signed weights with a
scale for each output channel (Krishnamoorthi 2018, arXiv:1806.08342). A row of a batch gets the answer that it gets
alone. Dynamic quantisation takes the range from the batch at hand, for matrix products only: nothing to calibrate, but
a loud neighbour coarsens a quiet row, so its file says that it wants one window at a time.

What stays float: everything before the first layer that is not kept out (the front end's logarithm spans more than 8
bits can hold), and the outputs of matrix products, whose logits and embeddings are read in float anyway.
"""

import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from monitor.errors import ModelError
from monitor.messages import Samples
from monitor.zoo.equalize import equalize, pairs
from monitor.zoo.int8_graph import FLOAT_OUTPUT, FOLLOWERS, LAYERS, load_float, nodes_to_quantize, unround_outputs

if TYPE_CHECKING:  # it comes with torch, which quantising does not need
    from monitor.zoo.family import Quantization

SUFFIX = "-int8"
"""Ends the name of a quantised model."""
FRONT_END = "frontend"
"""Module that stays float in every network."""
QUIET = 1e-3
"""A window whose peak stays below (-60 dBFS) says nothing about the ranges, and is not calibrated on."""
SCORES, EMBEDDING = "probabilities", "embedding"
"""Outputs of a model."""
DETECTED = 0.5
"""A score from which a class counts as detected."""


@dataclass(frozen=True, slots=True)
class Drift:
    """How far the scores of a quantised model are from the float model's, over windows of sound."""

    windows: int
    largest: float
    """Largest difference of a probability."""
    mean: float
    """Mean difference of the probabilities, over all classes."""
    top1: float
    """Share of the windows whose best class is the same."""
    ranking: float | None
    """Mean average precision against what the float model detects (0.5 or more); None where it detects nothing."""


def quantize(source: Path, target: Path, calibration: Iterable[Samples], quantization: "Quantization") -> None:
    """Write the float model `source` as int8 to `target`, with the same metadata, its name with "-int8".

    `calibration`: waveforms float32[samples] in [-1, 1] of the model's window, 50 to 200 from real recordings; quiet
    ones are left out. Dynamic quantisation takes none. Raises `ModelError`.
    """
    model = load_float(source)
    names = nodes_to_quantize(model, (FRONT_END, *quantization.keep))
    if not names:
        raise ModelError(f"{source}: nothing to quantise: no convolution or matrix product beyond what stays float")
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    metadata["name"] = metadata.get("name", source.stem) + SUFFIX
    static = quantization.kind == "static"
    loud = _loud(source, model, calibration) if static else []
    between = [pair.between for pair in pairs(model.graph)] if static and quantization.equalise else []
    if between:
        equalize(model, _peaks(model, between, loud))
    add_pre_process_metadata(model)  # ONNX Runtime would else advise on the console to prepare the model
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "int8.onnx"
        if static:
            quantize_static(
                model,
                written,
                _Calibration(loud),
                op_types_to_quantize=[*LAYERS, *FOLLOWERS],
                nodes_to_quantize=names,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                extra_options={"MatMulConstBOnly": True, "OpTypesToExcludeOutputQuantization": FLOAT_OUTPUT},
            )
        else:
            quantize_dynamic(
                model,
                written,
                op_types_to_quantize=["MatMul"],
                nodes_to_quantize=names,
                per_channel=True,
                weight_type=QuantType.QInt8,
            )
            metadata["max_batch"] = "1"
        _finish(written, metadata)
        part = target.with_name(target.name + ".part")
        shutil.copyfile(written, part)
    part.replace(target)


def drift(float_path: Path, int8_path: Path, waveforms: Iterable[Samples]) -> Drift:
    """Compare two models on waveforms float32[samples] in [-1, 1], one at a time. Raises `ModelError`."""
    reference, quantised = _open(float_path), _open(int8_path)
    answers = [(_answer(reference, SCORES, w), _answer(quantised, SCORES, w)) for w in waveforms]
    if not answers:
        raise ModelError(f"{int8_path}: no sound to compare with {float_path} on")
    wanted, given = (np.stack(scores) for scores in zip(*answers, strict=True))
    if wanted.shape != given.shape:
        raise ModelError(f"{int8_path}: has {given.shape[1]} classes, {float_path} has {wanted.shape[1]}")
    difference = np.abs(wanted - given)
    detected = wanted >= DETECTED
    ranked = [average_precision(given[:, c], detected[:, c]) for c in np.flatnonzero(detected.any(axis=0))]
    return Drift(
        windows=len(wanted),
        largest=float(difference.max()),
        mean=float(difference.mean()),
        top1=float((wanted.argmax(axis=1) == given.argmax(axis=1)).mean()),
        ranking=float(np.mean(ranked)) if ranked else None,
    )


def likeness(float_path: Path, int8_path: Path, waveforms: Iterable[Samples]) -> Samples:
    """Cosines float32[n] of two models' embeddings of waveforms float32[samples] in [-1, 1], one at a time.

    What `drift` is to models that have no classes of their own. Raises `ModelError`.
    """
    reference, quantised = _open(float_path), _open(int8_path)
    answers = [(_answer(reference, EMBEDDING, w), _answer(quantised, EMBEDDING, w)) for w in waveforms]
    if not answers:
        raise ModelError(f"{int8_path}: no sound to compare with {float_path} on")
    wanted, given = (np.stack(vectors) for vectors in zip(*answers, strict=True))
    lengths = np.linalg.norm(wanted, axis=1) * np.linalg.norm(given, axis=1)
    return np.asarray((wanted * given).sum(axis=1) / lengths, np.float32)


def average_precision(scores: Samples, positive: NDArray[np.bool_]) -> float:
    """Area under precision over recall of one class's scores [windows], at least one of them positive."""
    hits = positive[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())


class _Calibration(CalibrationDataReader):  # type: ignore[misc]
    """Waveforms one at a time, as ONNX Runtime asks for them."""

    def __init__(self, waveforms: Iterable[Samples]) -> None:
        self._waveforms = iter(waveforms)

    def get_next(self) -> dict[str, Samples] | None:
        waveform = next(self._waveforms, None)
        return None if waveform is None else {"waveform": waveform[None]}


def _loud(source: Path, model: onnx.ModelProto, waveforms: Iterable[Samples]) -> list[Samples]:
    """The waveforms worth calibrating on."""
    window = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value  # 0 if any length will do
    loud = []
    for waveform in waveforms:
        if window not in (0, waveform.size):
            raise ModelError(f"{source}: takes windows of {window} samples, not of {waveform.size}")
        if np.abs(waveform).max() >= QUIET:
            loud.append(np.asarray(waveform, np.float32))
    if not loud:
        raise ModelError(f"{source}: no sound to calibrate on: static int8 needs real recordings, not silence")
    return loud


def _peaks(model: onnx.ModelProto, names: list[str], waveforms: Iterable[Samples]) -> dict[str, Samples]:
    """The largest magnitude in each channel of these tensors [batch, channels, ...], over all waveforms."""
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    observed.graph.output.extend(onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = _session(observed.SerializeToString())
    peaks: dict[str, Samples] = {}
    for waveform in waveforms:
        for name, values in zip(names, session.run(names, {"waveform": waveform[None]}), strict=True):
            peak = np.abs(values).max(axis=(0, *range(2, values.ndim)))
            peaks[name] = np.maximum(peaks.get(name, 0), peak)
    return peaks


def _finish(path: Path, metadata: dict[str, str]) -> None:
    """Give the file this metadata, none of what the quantiser noted, and outputs that are not rounded."""
    model = onnx.load(path)
    unround_outputs(model.graph)
    onnx.helper.set_model_props(model, metadata)
    del model.graph.value_info[:]
    onnx.save_model(model, path)


def _open(path: Path) -> onnxruntime.InferenceSession:
    try:
        return _session(str(path))
    except Exception as error:  # ONNX Runtime's errors have no common base
        raise ModelError(f"{path}: not a model that ONNX Runtime can load") from error


def _session(model: str | bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _answer(session: onnxruntime.InferenceSession, output: str, waveform: Samples) -> Samples:
    """One output for one window, float32[classes] or float32[dims]."""
    answer: Samples = session.run([output], {"waveform": waveform[None]})[0][0]
    return answer
