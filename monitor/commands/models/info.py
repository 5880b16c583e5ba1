"""`models info`: show everything that a model file says about itself."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from monitor.commands.options import CommandOptions, option

SHOWN = {"format", "name", "family", "sample_rate", "window", "labels", "licence", "source", "description"}
"""Metadata that the card already shows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(CommandOptions):
    """Options of `models info`."""

    DESCRIPTION = "Shows everything that a model file says about itself."

    model: str = option(metavar="NAME|PATH", help="see `sound-monitor models`")


def main(options: Options) -> int:
    """Print a row for each fact. Raises `ModelError`."""
    from monitor.classify.graph import Graph
    from monitor.classify.open import describe_model, find_model
    from monitor.commands.output import print_facts, short_path

    path = find_model(options.model)
    card, graph = describe_model(path), Graph(path)
    rows = [
        ("name", card.name),
        ("description", card.description),
        ("family", card.family),
        ("window", f"{card.window / card.sample_rate:g} s ({card.window} samples at {card.sample_rate} Hz)"),
        ("classes", _classes(card.labels, options.model)),
        ("licence", card.licence),
        ("source", card.source),
        ("file", short_path(path)),
        ("size", f"{card.size / 1e6:.1f} MB"),
        ("sha256", card.sha256),
        *(("input", _tensor(name, *form)) for name, form in graph.inputs.items()),
        *(("output", _tensor(name, *form)) for name, form in graph.outputs.items()),
        *((key, _readable(text)) for key, text in graph.metadata.items() if key not in SHOWN),
    ]
    print_facts([(heading, text) for heading, text in rows if text])
    return 0


def _classes(labels: Sequence[str], model: str) -> str:
    if not labels:
        return "none of its own: describe sounds in model.prompts"
    return f"{len(labels)} (see `sound-monitor models --labels {model}`)"


def _tensor(name: str, kind: str, shape: tuple[int | str | None, ...]) -> str:
    """An input or output such as `waveform float32[batch, 15600]`."""
    plain = {"tensor(float)": "float32"}.get(kind, kind)
    return f"{name} {plain}[{', '.join('?' if side is None else str(side) for side in shape)}]"


def _readable(text: str) -> str:
    """JSON as YAML, a line for each entry; any other text unchanged."""
    import yaml

    try:
        value = json.loads(text)
    except ValueError:
        return text
    return (
        yaml.safe_dump(value, default_flow_style=None, sort_keys=False, allow_unicode=True, width=100)
        .removesuffix("\n...\n")
        .rstrip()
    )
