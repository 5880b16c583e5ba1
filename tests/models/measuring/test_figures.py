"""Figures are measured on what is held out, and say how well the truth is told apart."""

import importlib
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from monitor.zoo.families.audioset import labels

pytest.importorskip("torch", reason="the training recipe needs torch; the bundled model does not")
pytest.importorskip("scipy", reason="the training recipe needs scipy")
pytest.importorskip("ai_edge_litert", reason="the training recipe needs ai-edge-litert")
pytest.importorskip("soundfile", reason="the training recipe needs soundfile")
figures = importlib.import_module("models.train.measuring.figures")
evaluate = importlib.import_module("models.train.measuring.evaluate")
EVENT_NAMES = importlib.import_module("models.train.data.events").EVENT_NAMES

NAMES = list(labels())[:521]
SIREN = 2
"""The recording of a siren in the corpus."""


def heard(numbers: list[int], siren: list[float]) -> Any:
    """A model that says no more than how sure it is of a siren, and by its event of the opposite."""
    classes = np.zeros((len(numbers), 521), np.float32)
    events = np.zeros((len(numbers), len(EVENT_NAMES)), np.float32)
    classes[:, NAMES.index("Siren")] = siren
    events[:, EVENT_NAMES.index("Emergency siren")] = 1.0 - np.array(siren)
    return evaluate.Heard(np.array(numbers), classes, events, np.zeros((len(numbers), 4), np.float32))


def test_a_hard_sound_is_looked_for_among_all_that_is_held_out(corpus: Any) -> None:
    found = figures.hard_precision([heard([0, 1], [0.1, 0.2]), heard([SIREN, 3], [0.9, 0.3])], corpus, NAMES)
    assert found == {"siren": (1.0, 0.25, 1)}


def test_every_figure_is_of_what_is_held_out_and_fits_in_json(
    corpus: Any, teacher: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dog, the rain and the siren are kept out; a cat is there for the probe to learn."""
    monkeypatch.setattr(figures, "milliseconds", lambda runners: dict.fromkeys(runners, 0.5))
    clips = [replace(clip, split="val" if n in (0, 1, SIREN) else clip.split) for n, clip in enumerate(corpus.clips)]
    clips[3] = replace(clips[3], source="ESC-50", label="cat")

    def score(windows: Any) -> tuple[Any, Any, Any]:
        classes, embedding = (np.stack(part) for part in zip(*(teacher(window) for window in windows), strict=True))
        return classes, np.zeros((len(windows), len(EVENT_NAMES)), np.float32), embedding

    found = figures.all_figures(score, teacher, replace(corpus, clips=tuple(clips)), NAMES)
    json.dumps(found)
    assert found["held_out"]["esc50_clips"] == 2
    assert found["held_out"]["recordings"] == 2
    assert {"esc50_zero_shot", "esc50_probe", "home_recall_events"} <= set(found["esc50"])
    assert found["hard"]["siren"][2] == 1
    assert found["teacher"]["hard"]["siren"] == (found["hard"]["siren"][0], None, 1)
    assert "temporal_three" in found["responses"]
