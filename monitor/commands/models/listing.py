"""`models list`: list the available models."""

import sys
from dataclasses import dataclass

from monitor.commands.options import CommandOptions
from monitor.errors import ModelError


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(CommandOptions):
    """`models list` has no options."""

    DESCRIPTION = "Lists the models that came with the program and your own."


def main(_: Options) -> int:
    """List the models; the exit code is 65 if a file is not a valid model."""
    return print_models()


def print_models() -> int:
    """Print a table of models, and what is wrong with invalid files; return the exit code."""
    from monitor.classify.open import describe_model, model_files
    from monitor.commands.output import print_error, print_table, short_path
    from monitor.config.paths import model_folders

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
                short_path(path),
            )
        )
    if rows:
        print_table(("name", "family", "rate", "window", "classes", "size", "licence", "path"), rows)
    else:
        print(f"no models found in {', '.join(map(str, model_folders()))}", file=sys.stderr)
    for refusal in refused:
        print_error(refusal)
    return ModelError.exit_code if refused or not rows else 0


def print_labels(name: str) -> int:
    """Print a model's classes, one on each line; return the exit code. Raises `ModelError`."""
    from monitor.classify.open import describe_model, find_model

    path = find_model(name)
    labels = describe_model(path).labels
    if not labels:
        print(f"{path.stem} has no classes of its own: describe sounds in model.prompts", file=sys.stderr)
    for label in labels:
        print(label)
    return 0
