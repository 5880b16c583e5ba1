"""`models info`: all that a model file says about itself."""

import json
from argparse import Namespace
from collections.abc import Sequence

import yaml

from monitor.classify.graph import Graph
from monitor.classify.open import describe_model, find_model
from monitor.commands.models.report import short
from monitor.commands.output import print_facts

SHOWN = {"format", "name", "family", "sample_rate", "window", "labels", "licence", "source", "description"}
"""Metadata that the card already tells."""


def main(arguments: Namespace) -> int:
    """Print the card, a line each; raises `ModelError` where it is no model of ours."""
    path = find_model(arguments.model)
    card, graph = describe_model(path), Graph(path)
    rows = [
        ("name", card.name),
        ("description", card.description),
        ("family", card.family),
        ("window", f"{card.window / card.sample_rate:g} s ({card.window} samples at {card.sample_rate} Hz)"),
        ("classes", _classes(card.labels, arguments.model)),
        ("licence", card.licence),
        ("source", card.source),
        ("file", short(path)),
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
        return "what the configuration describes in words (model.prompts)"
    return f"{len(labels)} (see `sound-monitor models --labels {model}`)"


def _tensor(name: str, kind: str, shape: tuple[int | str | None, ...]) -> str:
    """Like waveform float32[batch, 15600]."""
    plain = {"tensor(float)": "float32"}.get(kind, kind)
    return f"{name} {plain}[{', '.join('?' if side is None else str(side) for side in shape)}]"


def _readable(text: str) -> str:
    """JSON with a line for each of its entries, other text as it is."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return (
        yaml.safe_dump(value, default_flow_style=None, sort_keys=False, allow_unicode=True, width=100)
        .removesuffix("\n...\n")
        .rstrip()
    )
