"""Benchmarks: run by hand, quoted in ratios of medians; no test depends on a time."""
