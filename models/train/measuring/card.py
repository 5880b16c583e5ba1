"""Keeps a model card true: its tables are rebuilt from figures and the manifest; the prose around them stays.

What stands between `<!-- NAME -->` and `<!-- end -->` in a card is made here: `home`, `home-sounds`, `held-out`,
`named`, `hard`, `files`, `sounds` and `false-alarms` from the JSON that `evaluate` writes, `sources` from the manifest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

from monitor.errors import UsageError

from ..data.corpus import Corpus
from ..networks.frontend import SAMPLE_RATE

Figures = Mapping[str, Any]
"""What `evaluate` found, as read from its JSON."""


def of_esc50(key: str) -> Callable[[Figures], float | None]:
    """Reads one of the figures on ESC-50, where there are any."""
    return lambda figures: figures.get("esc50", {}).get(key)


def mean(figures: Figures, column: int) -> float | None:
    """Mean average precision of the named sounds, through AudioSet names (0) or the events (1)."""
    found = [row[column] for row in figures.get("named", {}).values() if row[column] is not None]
    return sum(found) / len(found) if found else None


def ratio(figures: Figures) -> float | None:
    """Time of the model over time of the teacher."""
    times = figures.get("milliseconds", {})
    return times["model"] / times["teacher"] if times else None


ROWS: tuple[tuple[str, str, Callable[[Figures], float | None]], ...] = (
    ("ESC-10, through AudioSet names", "%", of_esc50("esc10_zero_shot")),
    ("ESC-50, through AudioSet names", "%", of_esc50("esc50_zero_shot")),
    ("ESC-50, through the events", "%", of_esc50("esc50_events")),
    ("ESC-50, linear probe on the embedding", "%", of_esc50("esc50_probe")),
    ("ESC-50, nearest of five examples a class, mean of 20 draws", "%", of_esc50("esc50_few_shot")),
    ("33 home sounds: mean recall at 1 % false alarms, AudioSet names", "", of_esc50("home_recall_named")),
    ("the same, events", "", of_esc50("home_recall_events")),
    ("Named sounds of other sources: mean AP, AudioSet names", "", lambda f: mean(f, 0)),
    ("the same, events", "", lambda f: mean(f, 1)),
    ("Agreement with the teacher (mAP)", "", lambda f: f.get("agreement_map")),
    ("Median time of a window, one thread, against YAMNet in LiteRT", "x", ratio),
)  # fmt: skip


def shown(value: float | None, unit: str) -> str:
    """A figure as a reader wants it."""
    if value is None:
        return "-"
    return {"%": f"{100 * value:.1f} %", "x": f"{value:.2f}"}.get(unit, f"{value:.3f}")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def in_home(measured: Mapping[str, Figures]) -> dict[str, Figures]:
    """Figures of a home by model: those measured, then the teachers beside the first of them."""
    found = {name: figures["home"]["models"] for name, figures in measured.items() if "home" in figures}
    own = {name: models["model"] for name, models in found.items()}
    others: dict[str, Figures] = next(iter(found.values()), {})
    return own | {name: figures for name, figures in others.items() if name != "model"}


def home_table(measured: Mapping[str, Figures]) -> str:
    """What is found in a home at how many false alarms an hour of speech, music and ambience."""
    columns = in_home(measured)
    rows = [
        [f"Mean recall, each sound at most {rate} false alarms an hour", *(f["recall"][rate] for f in columns.values())]
        for rate in next(iter(columns.values()))["recall"]
    ]
    rows += [
        ["Mean recall, one threshold for all, 1 an hour in all", *(f["one_threshold"] for f in columns.values())],
        ["Default rules: mean recall", *(f["rules"]["recall"] for f in columns.values())],
        ["Default rules: false alarms an hour", *(f["rules"]["false_alarms_an_hour"] for f in columns.values())],
    ]
    return table(["Test", *columns], [[name, *(shown(value, "") for value in values)] for name, *values in rows])


def home_sounds_table(measured: Mapping[str, Figures]) -> str:
    """Recall of each sound without a false alarm of it in all the background."""
    columns = in_home(measured)
    rows = [
        [sound, str(found[0]), *(shown(f["sounds"][sound][1], "") for f in columns.values())]
        for sound, found in next(iter(columns.values()))["sounds"].items()
    ]
    return table(["Sound", "Recordings", *columns], rows)


def figures_table(measured: Mapping[str, Figures]) -> str:
    """One column for each set of figures, and one for the teacher; rows that none of them has are left out."""
    columns = {**measured, "YAMNet": next(iter(measured.values())).get("teacher", {})}
    rows = [[name, *(shown(find(figures), unit) for figures in columns.values())] for name, unit, find in ROWS]
    return table(["Test", *columns], [row for row in rows if set(row[1:]) != {"-"}])


def named_table(figures: Figures) -> str:
    """Average precision of each event whose recordings are named."""
    rows = [[name, str(count), shown(by_name, ""), shown(by_event, "")]
            for name, (by_name, by_event, count) in figures.get("named", {}).items()]  # fmt: skip
    return table(["Sound", "Recordings", "AP, AudioSet name", "AP, event"], rows)


def hard_table(measured: Mapping[str, Figures]) -> str:
    """Average precision of what is hard to hear, one column for each set of figures, and one for the teacher."""
    columns = {**measured, "YAMNet": next(iter(measured.values())).get("teacher", {})}
    rows = []
    for sound, (_, _, count) in next(iter(measured.values())).get("hard", {}).items():
        found = [figures.get("hard", {}).get(sound, (None, None, 0)) for figures in columns.values()]
        answers = [" / ".join(shown(by, "") for by in (name, event) if by is not None) for name, event, _ in found]
        rows.append([sound, str(count), *answers])
    return table(["Sound", "Recordings", *columns], rows)


def sounds_table(figures: Figures) -> str:
    """What the model answers to each kind of generated sound."""
    rows = [[kind.replace("_", " "), ", ".join(f"{name} {peak:.2f}" for name, peak in found.items())]
            for kind, found in figures.get("responses", {}).items()]  # fmt: skip
    return table(["Generated sound", "Highest scores, median of 20"], rows)


def false_alarms_table(figures: Figures) -> str:
    """The scores that one in a thousand windows of other sounds exceeds."""
    rows = [[name, f"{score:.2f}"] for name, score in figures.get("false_alarms_p99_9", {}).items()]
    return table(["Class", "99.9th percentile"], rows)


def sources_table(corpus: Corpus) -> str:
    """Every source with its licences, recordings and minutes."""
    rows = []
    numbered = sorted(enumerate(corpus.clips), key=lambda pair: (pair[1].source.lower(), pair[1].licence))
    for (source, licence), group in groupby(numbered, key=lambda pair: (pair[1].source, pair[1].licence)):
        clips = list(group)
        minutes = sum(int(corpus.bounds[n + 1] - corpus.bounds[n]) for n, _ in clips) / SAMPLE_RATE / 60
        held_out = sum(clip.split == "val" for _, clip in clips)
        place = "karolpiczak/ESC-50" if source == "ESC-50" else source.replace("+", "/")
        where = f"GitHub, {place}" if "/" in place else f"Debian package {place}"
        plain = re.sub(r" \(Debian: [^)]*\)", "", licence)
        rows.append([where, plain, f"{len(clips) - held_out} / {held_out}", f"{minutes:.1f}"])
    return table(["Source", "Licences of its files", "Recordings: training / held out", "Minutes"], rows)


def blocks(measured: Mapping[str, Figures], corpus: Corpus) -> dict[str, str]:
    """Every block that a card may ask for, from figures by the names of their columns.

    Those with ESC-50 come of a run that held it out, the others of the files that are delivered.
    """
    made = {"sources": sources_table(corpus)}
    if in_home(measured):
        made |= {"home": home_table(measured), "home-sounds": home_sounds_table(measured)}
    held_out = {name: figures for name, figures in measured.items() if "esc50" in figures}
    if held_out:
        made |= {"held-out": figures_table(held_out), "named": named_table(next(iter(held_out.values())))}
        made["hard"] = hard_table(held_out)
    delivered = {name: figures for name, figures in measured.items() if name not in held_out and "named" in figures}
    if delivered:
        first = next(iter(delivered.values()))
        made["files"] = figures_table(delivered)
        made |= {"sounds": sounds_table(first), "false-alarms": false_alarms_table(first)}
    return made


def fill(card: str, blocks: Mapping[str, str]) -> str:
    """Return the card with each of its blocks rebuilt. Raises `UsageError` for an unknown block."""

    def block(match: re.Match[str]) -> str:
        if match[1] not in blocks:
            raise UsageError(f"the card asks for {match[1]!r}; known are {', '.join(blocks)}")
        return f"<!-- {match[1]} -->\n{blocks[match[1]]}\n<!-- end -->"

    return re.sub(r"<!-- ([\w-]+) -->\n.*?<!-- end -->", block, card, flags=re.DOTALL)
