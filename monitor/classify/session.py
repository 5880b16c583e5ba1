"""One ONNX Runtime session: a batch of waveforms in, probabilities and embeddings out."""

import os
import re
from pathlib import Path

import numpy as np

from monitor.classify.card import read_card
from monitor.errors import ModelError
from monitor.messages import ModelCard, Samples

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read on import; else it reports to its makers
try:
    import onnxruntime as ort
except ImportError as error:
    raise ModelError(f"ONNX Runtime cannot be loaded ({error}): install the extra 'cpu' or 'gpu'") from error

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
FLOAT = "tensor(float)"
"""ONNX Runtime's word for float32."""


class Session:
    """A loaded model. `run` may be called from any one thread at a time."""

    def __init__(self, path: Path, provider: str = "auto", threads: int = 1) -> None:
        """Load and check the file. Raises `ModelError`, also when the configured provider cannot be had."""
        self._session = _load(path, provider, threads)
        self.provider: str = self._session.get_providers()[0]
        """The execution provider that ONNX Runtime really uses."""
        if provider != "auto" and self.provider != PROVIDERS[provider]:
            raise ModelError(
                f"provider {provider} is configured, but ONNX Runtime could only load {self.provider}: "
                "check the driver, or set model.provider to auto"
            )
        inputs = {i.name: i.type for i in self._session.get_inputs()}
        outputs = {o.name: o.type for o in self._session.get_outputs()}
        if set(inputs) != {"waveform"} or "probabilities" not in outputs:
            raise ModelError(
                f"{path}: expected an input 'waveform' and an output 'probabilities', "
                f"got inputs {', '.join(sorted(inputs))} and outputs {', '.join(sorted(outputs))}"
            )
        for name in ("waveform", "probabilities", "embedding"):
            kind = (inputs | outputs).get(name, FLOAT)
            if kind != FLOAT:
                raise ModelError(f"{path}: {name!r} is a {kind}, expected a {FLOAT}")
        self._outputs = ["probabilities"] + ["embedding"] * ("embedding" in outputs)
        self.card: ModelCard = read_card(
            path,
            self._session.get_modelmeta().custom_metadata_map,
            has_embedding="embedding" in outputs,
        )
        self._options = ort.RunOptions()
        self._try_out()

    def run(self, waveforms: Samples) -> tuple[Samples, Samples | None]:
        """float32[batch, samples] to probabilities float32[batch, classes] and embeddings float32[batch, dims]."""
        answer = self._session.run(self._outputs, {"waveform": waveforms}, self._options)
        return answer[0], answer[1] if len(answer) > 1 else None

    def terminate(self) -> None:
        """Break off the inference that is under way; it raises in its thread."""
        self._options.terminate = True

    def _try_out(self) -> None:
        """Run silence and noise once: a file that fits its card answers with probabilities. Warms up as well."""
        card = self.card
        noise = np.random.default_rng(0).uniform(-0.1, 0.1, card.window).astype(np.float32)
        try:
            probabilities, embeddings = self.run(np.stack((np.zeros_like(noise), noise)))
        except Exception as error:  # ONNX Runtime's errors have no common base
            raise ModelError(f"{card.path}: does not run on two windows of its own size: {_plain(error)}") from error
        if probabilities.shape != (2, len(card.labels)):
            raise ModelError(
                f"{card.path}: two windows get 'probabilities' of shape {probabilities.shape}, "
                f"which does not fit {len(card.labels)} labels"
            )
        if embeddings is not None and (embeddings.ndim != 2 or len(embeddings) != 2):
            raise ModelError(f"{card.path}: two windows get an 'embedding' of shape {embeddings.shape}, not one each")
        if not np.isfinite(probabilities).all() or probabilities.min() < 0 or probabilities.max() > 1:
            raise ModelError(f"{card.path}: the output 'probabilities' holds values that are not in [0, 1]")


def _load(path: Path, provider: str, threads: int) -> ort.InferenceSession:
    ort.set_default_logger_severity(4)  # what it prints on stderr speaks to model authors; its errors are raised too
    available = ort.get_available_providers()
    if provider == "auto":
        wanted = [p for p in (PROVIDERS["cuda"], PROVIDERS["cpu"]) if p in available]
    elif PROVIDERS[provider] in available:
        wanted = [PROVIDERS[provider]]
    else:
        raise ModelError(
            f"provider {provider} is configured, but this ONNX Runtime knows only {', '.join(available)}: "
            "install the build for it (extra 'gpu' for cuda and tensorrt)"
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        return ort.InferenceSession(str(path), options, providers=wanted)
    except Exception as error:
        raise ModelError(f"{path}: not a model that ONNX Runtime can load: {_plain(error)}") from error


def _plain(error: Exception) -> str:
    """ONNX Runtime's words on one line, without its codes."""
    return re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", " ".join(str(error).split()))
