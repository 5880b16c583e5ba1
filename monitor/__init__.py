"""A sound event monitor: microphone in, detections out."""

import os

__version__ = "0.1.0"

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # ONNX Runtime reads it on import; else it reports to its makers
