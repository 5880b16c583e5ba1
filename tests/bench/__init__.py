"""Benchmarks: run by hand, quoted in ratios of medians; no test depends on a time."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
"""NumPy reads it once, on import; its other threads would spin and count as processor time."""
