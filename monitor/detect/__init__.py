"""Decisions: scores to detections. Pure functions and classes, no input or output."""
