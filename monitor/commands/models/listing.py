"""`models list`: the models at hand."""

import sys
from argparse import Namespace

from monitor.classify.library import files, find, folders
from monitor.classify.session import Session
from monitor.commands.models.places import short
from monitor.commands.table import print_table
from monitor.errors import ModelError


def main(arguments: Namespace) -> int:
    """Print a table of models, or one model's classes; the exit code is 65 where a file is no model of ours."""
    if arguments.labels:
        for label in Session(find(arguments.labels)).card.labels:
            print(label)  # noqa: T201
        return 0
    rows: list[tuple[str, ...]] = []
    refused: list[ModelError] = []
    for path in files():
        try:
            card = Session(path).card
        except ModelError as error:
            refused.append(error)
            continue
        rows.append(
            (
                path.stem,
                card.family,
                f"{card.sample_rate} Hz",
                f"{card.window / card.sample_rate:.3f} s",
                str(len(card.labels)),
                f"{card.size / 1e6:.1f} MB",
                card.licence.partition(";")[0],
                short(path),
            )
        )
    if rows:
        print_table(("name", "family", "rate", "window", "classes", "size", "licence", "path"), rows)
    else:
        print(f"no models found in {', '.join(map(str, folders()))}", file=sys.stderr)  # noqa: T201
    for refusal in refused:
        print(f"sound-monitor: {refusal}", file=sys.stderr)  # noqa: T201
    return ModelError.exit_code if refused or not rows else 0
