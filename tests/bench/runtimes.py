"""A network's file in each runtime: one window, one thread."""

from collections.abc import Callable
from pathlib import Path

import onnxruntime

from monitor.messages import Samples

Contender = Callable[[Samples], object]
"""Waveform float32[1, samples] to an answer."""


def in_onnx_runtime(path: Path) -> Contender:
    """Run a file in ONNX Runtime with the monitor's settings."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda waveform: session.run(None, {"waveform": waveform})


def in_openvino(files: dict[str, Path], window: int) -> dict[str, Contender]:
    """Run the same files in OpenVINO; none if it is not installed."""
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


def in_litert(path: Path) -> Contender:
    """Run a TFLite file in LiteRT."""
    from ai_edge_litert.interpreter import Interpreter  # nothing else here needs it

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    given, answered = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def run(waveform: Samples) -> object:
        interpreter.set_tensor(given, waveform)
        interpreter.invoke()
        return interpreter.get_tensor(answered)

    return run
