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
from collections.abc import Iterable, Iterator
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
from monitor.zoo.equalize import equalize

if TYPE_CHECKING:  # it comes with torch, which quantising does not need
    from monitor.zoo.family import Quantization

SUFFIX = "-int8"
"""Ends the name of a quantised model."""
FRONT_END = "frontend"
"""Module that stays float in every network."""
LAYERS = ("Conv", "Gemm", "MatMul")
"""Operators with weights."""
FOLLOWERS = ("Relu", "Clip", "Add", "AveragePool", "MaxPool")
"""Operators that stay in int8 where all that they take is int8 already."""
QUIET = 1e-3
"""A window whose peak stays below (-60 dBFS) says nothing about the ranges, and is not calibrated on."""
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
    model = _load_float(source)
    names = nodes_to_quantize(model, (FRONT_END, *quantization.keep))
    if not names:
        raise ModelError(f"{source}: nothing to quantise: no convolution or matrix product beyond what stays float")
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    metadata["name"] = metadata.get("name", source.stem) + SUFFIX
    if quantization.equalise:
        equalize(model)
    add_pre_process_metadata(model)  # ONNX Runtime would else advise on the console to prepare the model
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "int8.onnx"
        if quantization.kind == "static":
            quantize_static(
                model,
                written,
                _Calibration(source, model, calibration),
                op_types_to_quantize=[*LAYERS, *FOLLOWERS],
                nodes_to_quantize=names,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                extra_options={"MatMulConstBOnly": True, "OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]},
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
    reference, quantised = _session(float_path), _session(int8_path)
    pairs = [(_scores(reference, waveform), _scores(quantised, waveform)) for waveform in waveforms]
    if not pairs:
        raise ModelError(f"{int8_path}: no sound to compare with {float_path} on")
    wanted, given = (np.stack(scores) for scores in zip(*pairs, strict=True))
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


def average_precision(scores: Samples, positive: NDArray[np.bool_]) -> float:
    """Area under precision over recall of one class's scores [windows], at least one of them positive."""
    hits = positive[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())


def nodes_to_quantize(model: onnx.ModelProto, keep: Iterable[str]) -> list[str]:
    """Names of the layers with constant weights, and of the nodes between them that can stay in int8.

    `keep`: module names, "frontend" or "network.head": a layer of theirs stays float, recognised by its own name or a
    weight's, which the exporter derives from the module.
    """
    prefixes = tuple(name + "." for name in keep)
    constants = {tensor.name for tensor in model.graph.initializer}
    names: list[str] = []
    int8: set[str] = set()
    for node in model.graph.node:
        if node.op_type in LAYERS:
            chosen = node.input[1] in constants and not any(
                name.startswith(prefixes) for name in (node.name, *node.input)
            )
        else:
            taken = node.input if node.op_type == "Add" else node.input[:1]
            chosen = node.op_type in FOLLOWERS and int8.issuperset(taken)
        if chosen:
            names.append(node.name)
            if node.op_type not in ("Gemm", "MatMul"):
                int8.update(node.output)
    return names


class _Calibration(CalibrationDataReader):  # type: ignore[misc]
    """Waveforms that are loud enough, one at a time, as ONNX Runtime asks for them."""

    def __init__(self, source: Path, model: onnx.ModelProto, waveforms: Iterable[Samples]) -> None:
        self._window = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
        self._loud = self._checked(source, waveforms)

    def get_next(self) -> dict[str, Samples] | None:
        waveform = next(self._loud, None)
        return None if waveform is None else {"waveform": waveform[None]}

    def _checked(self, source: Path, waveforms: Iterable[Samples]) -> Iterator[Samples]:
        any_loud = False
        for waveform in waveforms:
            if self._window not in (0, waveform.size):
                raise ModelError(f"{source}: takes windows of {self._window} samples, not of {waveform.size}")
            if np.abs(waveform).max() >= QUIET:
                any_loud = True
                yield np.asarray(waveform, np.float32)
        if not any_loud:
            raise ModelError(f"{source}: no sound to calibrate on: static int8 needs real recordings, not silence")


def _load_float(source: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(source, load_external_data=False)
    except FileNotFoundError:
        raise ModelError(f"model file {source} does not exist") from None
    except Exception as error:  # protobuf's errors have no base of their own
        raise ModelError(f"{source}: not an ONNX model") from error
    if [value.name for value in model.graph.input] != ["waveform"]:
        raise ModelError(f"{source}: expected one input 'waveform'")
    if any("Quantize" in node.op_type or "Integer" in node.op_type for node in model.graph.node):
        raise ModelError(f"{source}: is quantised already; quantise the float model that it was made of")
    if any(tensor.data_type == TensorProto.FLOAT16 for tensor in model.graph.initializer):
        raise ModelError(f"{source}: is in half precision; quantise the float32 model that it was made of")
    if any(tensor.data_location == TensorProto.EXTERNAL for tensor in model.graph.initializer):
        raise ModelError(f"{source}: keeps weights outside its file; merge them into one file first")
    del model.graph.value_info[:]  # the exporter's shapes contradict those that ONNX Runtime infers
    return model


def _finish(path: Path, metadata: dict[str, str]) -> None:
    """Give the file this metadata, none of what the quantiser noted, and outputs that are not rounded."""
    model = onnx.load(path)
    _unround_outputs(model.graph)
    onnx.helper.set_model_props(model, metadata)
    del model.graph.value_info[:]
    onnx.save_model(model, path)


def _unround_outputs(graph: onnx.GraphProto) -> None:
    """Give out in float what the quantiser rounds because a layer reads it too: an embedding before its head."""
    makers = {name: node for node in graph.node for name in node.output}
    for output in graph.output:
        if makers[output.name].op_type == "DequantizeLinear":
            exact = makers[makers[output.name].input[0]].input[0]
            renamed = {exact: output.name, output.name: output.name + "_rounded"}
            for node in graph.node:
                node.input[:] = [renamed.get(name, name) for name in node.input]
                node.output[:] = [renamed.get(name, name) for name in node.output]


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common base
        raise ModelError(f"{path}: not a model that ONNX Runtime can load") from error


def _scores(session: onnxruntime.InferenceSession, waveform: Samples) -> Samples:
    """Probabilities float32[classes]."""
    scores: Samples = session.run(["probabilities"], {"waveform": waveform[None]})[0][0]
    return scores
