"""The 527 classes of AudioSet, in the order of the published networks' answers.

The names in audioset.csv are those of Google's AudioSet ontology, licensed CC BY 4.0.
"""

import csv
from functools import cache
from importlib import resources


@cache
def labels() -> tuple[str, ...]:
    """Return the display names; index 0 is Speech."""
    table = resources.files("monitor.zoo.families").joinpath("audioset.csv").read_text(encoding="utf-8")
    return tuple(row["name"] for row in csv.DictReader(table.splitlines()))
