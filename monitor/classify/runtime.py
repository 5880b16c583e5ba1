"""ONNX Runtime, imported in one place: telling the user what to install where it is missing."""

from monitor.errors import ModelError

try:
    import onnxruntime as ort
except ImportError as error:
    raise ModelError(f"ONNX Runtime cannot be loaded ({error}): install the extra 'cpu' or 'gpu'") from error

__all__ = ["ort"]

ort.set_default_logger_severity(4)  # what it prints on stderr speaks to model authors; its errors are raised too
