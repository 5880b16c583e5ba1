"""Make an int8 model file of a float one.

Static quantisation fixes the range of every activation in advance, on real sound: u8 activations, signed weights with a
scale for each output channel (Krishnamoorthi 2018, arXiv:1806.08342). A row of a batch gets the same answer as alone.
Dynamic quantisation takes the range from the current batch, for matrix products only. It needs no calibration, but a
loud neighbour coarsens a quiet row, so the file limits a batch to one window.

The front end stays float, because its logarithm spans more than 8 bits can hold, and so do the modules that a family
keeps, and the outputs of matrix products: logits and embeddings are read in float anyway.
"""

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from monitor.errors import ModelError
from monitor.files import written_whole
from monitor.messages import Samples
from monitor.onnx import open_session
from monitor.zoo.build.equalize import equalize, pairs
from monitor.zoo.build.int8_graph import FLOAT_OUTPUT, FOLLOWERS, LAYERS, load_float, nodes_to_quantize, unround_outputs
from monitor.zoo.metadata import SUFFIX, Quantization

FRONT_END = "frontend"
"""The module that stays float in every network."""
QUIET = 1e-3
"""Peak below which (-60 dBFS) a window says nothing about the ranges and is not used for calibration."""


def quantize(source: Path, target: Path, calibration: Iterable[Samples], quantization: Quantization) -> None:
    """Write the float model `source` as int8 to `target`, with the same metadata and the suffix "-int8" in its name.

    `calibration`: waveforms float32[samples] in [-1, 1] of the model's window, 50 to 200 from real recordings; quiet
    ones are left out. Dynamic quantisation ignores it. Raises `ModelError`.
    """
    model = load_float(source)
    names = nodes_to_quantize(model, (FRONT_END, *quantization.keep))
    if not names:
        raise ModelError(f"{source}: nothing to quantise: every convolution and matrix product stays float")
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    metadata["name"] = metadata.get("name", source.stem) + SUFFIX
    static = quantization.kind == "static"
    loud = _loud(source, model, calibration) if static else []
    between = [pair.between for pair in pairs(model.graph)] if static and quantization.equalise else []
    if between:
        equalize(model, _peaks(model, between, loud))
    add_pre_process_metadata(model)  # or ONNX Runtime advises on the console to prepare the model
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
        with written_whole(target) as part:
            shutil.copyfile(written, part)


class _Calibration(CalibrationDataReader):  # type: ignore[misc]
    """Waveforms, one for each request of ONNX Runtime."""

    def __init__(self, waveforms: Iterable[Samples]) -> None:
        self._waveforms = iter(waveforms)

    def get_next(self) -> dict[str, Samples] | None:
        waveform = next(self._waveforms, None)
        return None if waveform is None else {"waveform": waveform[None]}


def _loud(source: Path, model: onnx.ModelProto, waveforms: Iterable[Samples]) -> list[Samples]:
    """The waveforms that are loud enough to calibrate on."""
    window = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value  # 0 if any length is allowed
    loud = []
    for waveform in waveforms:
        if window not in (0, waveform.size):
            raise ModelError(f"{source}: takes windows of {window} samples, not {waveform.size}")
        if np.abs(waveform).max() >= QUIET:
            loud.append(np.asarray(waveform, np.float32))
    if not loud:
        raise ModelError(f"{source}: no sound to calibrate on: static int8 requires real recordings, not silence")
    return loud


def _peaks(model: onnx.ModelProto, names: list[str], waveforms: Iterable[Samples]) -> dict[str, Samples]:
    """The largest magnitude in each channel of these tensors [batch, channels, ...], over all waveforms."""
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    observed.graph.output.extend(onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = open_session(observed.SerializeToString())
    peaks: dict[str, Samples] = {}
    for waveform in waveforms:
        for name, values in zip(names, session.run(names, {"waveform": waveform[None]}), strict=True):
            peak = np.abs(values).max(axis=(0, *range(2, values.ndim)))
            peaks[name] = np.maximum(peaks.get(name, 0), peak)
    return peaks


def _finish(path: Path, metadata: dict[str, str]) -> None:
    """Give the file this metadata, remove the quantiser's notes, and output what is not rounded."""
    model = onnx.load(path)
    unround_outputs(model.graph)
    onnx.helper.set_model_props(model, metadata)
    del model.graph.value_info[:]
    onnx.save_model(model, path)
