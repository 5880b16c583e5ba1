"""Benchmarks: run by hand, quoted in ratios of medians; no test depends on a time."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
"""NumPy reads it once, when it is loaded; its other threads would spin, and be counted as processor time."""
