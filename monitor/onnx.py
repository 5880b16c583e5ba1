"""ONNX Runtime, in the only module that imports it: sessions on a provider, and readable errors."""

import logging
import os
import re
from pathlib import Path

from monitor.config.paths import cache_folder
from monitor.errors import ModelError, StorageError

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read on import; ONNX Runtime sends telemetry by default

try:
    import onnxruntime as ort
except ImportError as error:
    raise ModelError(f"cannot load ONNX Runtime ({error}): reinstall onnxruntime, or onnxruntime-gpu") from error

__all__ = ["PROVIDERS", "open_session", "ort", "plain"]

ort.set_default_logger_severity(4)  # its output on stderr is for model authors; errors are raised as well

log = logging.getLogger(__name__)

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}


def open_session(
    model: Path | bytes, provider: str = "cpu", threads: int = 1, profile: str | None = None
) -> ort.InferenceSession:
    """Open a session for a model file, or for the content of one, on a key of `PROVIDERS`.

    `threads`: threads of one inference. `profile`: prefix of a file for the profile. Raises ONNX Runtime's own errors,
    which have no common base; without the provider's library the session runs on the CPU.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = profile
    providers: list[str | tuple[str, dict[str, str]]] = [PROVIDERS[provider]]
    if provider == "tensorrt":
        providers = [(PROVIDERS["tensorrt"], _engine_cache()), PROVIDERS["cuda"]]  # CUDA has the operators it lacks
    content = model if isinstance(model, bytes) else str(model)
    return ort.InferenceSession(content, options, providers=providers, enable_fallback=0)


def plain(error: Exception) -> str:
    """Return ONNX Runtime's error on one line, without its codes."""
    return re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", " ".join(str(error).split()))


def _engine_cache() -> dict[str, str]:
    """Return options to keep TensorRT's engines, which take minutes to build; none if no folder is writable."""
    try:
        folder = cache_folder() / "tensorrt"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, StorageError) as error:
        log.info("cannot cache TensorRT engines, they are built at every start: %s", error)
        return {}
    return {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(folder)}
