"""Decisions from scores: pure functions and classes, without I/O."""
