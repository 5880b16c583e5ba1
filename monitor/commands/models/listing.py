"""`models list`: the models at hand."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from monitor.classify.open import describe_model, find_model, model_files
from monitor.commands.models.report import short
from monitor.commands.output import print_table
from monitor.config.paths import model_folders
from monitor.errors import ModelError

if TYPE_CHECKING:
    from argparse import Namespace

    from monitor.commands.models import Options


def main(arguments: Options | Namespace) -> int:
    """Print a table of models, or one model's classes; the exit code is 65 where a file is no model of ours."""
    if arguments.labels:
        return _labels(arguments.labels)
    rows: list[tuple[str, ...]] = []
    refused: list[ModelError] = []
    for path in model_files():
        try:
            card = describe_model(path)
        except ModelError as error:
            refused.append(error)
            continue
        rows.append(
            (
                path.stem,
                card.family,
                f"{card.sample_rate} Hz",
                f"{card.window / card.sample_rate:.3f} s",
                str(len(card.labels)) if card.labels else "prompts",
                f"{card.size / 1e6:.1f} MB",
                card.licence.partition(";")[0],
                short(path),
            )
        )
    if rows:
        print_table(("name", "family", "rate", "window", "classes", "size", "licence", "path"), rows)
    else:
        print(f"no models found in {', '.join(map(str, model_folders()))}", file=sys.stderr)
    for refusal in refused:
        print(f"sound-monitor: {refusal}", file=sys.stderr)
    return ModelError.exit_code if refused or not rows else 0


def _labels(name: str) -> int:
    path = find_model(name)
    labels = describe_model(path).labels
    if not labels:
        print(f"{path.stem} hears what the configuration describes in words: model.prompts", file=sys.stderr)
    for label in labels:
        print(label)
    return 0
