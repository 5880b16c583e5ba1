"""A sound event monitor: microphone in, detections out."""

__version__ = "0.1.0"
