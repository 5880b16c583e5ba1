"""A model card's tables come from figures and the manifest; its prose is left alone."""

import importlib
from typing import Any

import pytest

from monitor.errors import UsageError

pytest.importorskip("torch", reason="the training recipe needs torch; the bundled model does not")
card = importlib.import_module("models.train.measuring.card")

DELIVERED = {
    "named": {"Bell ringing": [0.5, 0.25, 7], "Chimes": [0.3, 0.75, 3]},
    "responses": {"smoke_alarm": {"Alarm": 0.98, "Beep, bleep": 0.3}},
    "false_alarms_p99_9": {"Siren": 0.123},
    "milliseconds": {"model": 0.4, "teacher": 0.8},
    "teacher": {"named": {"Bell ringing": [0.4, None, 7]}},
}
HELD_OUT = {
    "esc50": {"esc10_zero_shot": 0.94375, "esc50_events": 0.8},
    "named": {"Bell ringing": [0.1, 0.2, 9]},
    "hard": {"siren": [0.25, 0.5, 4]},
    "teacher": {"esc50": {"esc10_zero_shot": 0.875}, "named": {}, "hard": {"siren": [0.125, None, 4]}},
}
FIGURES = {"x": DELIVERED, "run": HELD_OUT}


def at_home(recall: float, rules: float) -> dict[str, Any]:
    return {
        "recall": {"0.05": recall, "1": 0.9},
        "one_threshold": 0.6,
        "rules": {"recall": 0.7, "false_alarms_an_hour": rules},
        "sounds": {"Dog barking": [8, recall, 1.0]},
    }


HOME = {"home": {"models": {"model": at_home(0.75, 0.5), "YAMNet": at_home(0.625, 2.0)}}}


def rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]


def test_blocks_are_made_anew_and_prose_stays(corpus: Any) -> None:
    text = "# x\n<!-- held-out -->\nold\n<!-- end -->\nprose\n<!-- false-alarms -->\n<!-- end -->\n"
    once = card.fill(text, card.blocks(FIGURES, corpus))
    assert "old" not in once
    assert "\nprose\n" in once
    assert ["Siren", "0.12"] in rows(once)
    assert card.fill(once, card.blocks(FIGURES, corpus)) == once


def test_figures_stand_side_by_side_and_what_nobody_has_is_left_out(corpus: Any) -> None:
    """Those of the run that held ESC-50 out apart from those of the files."""
    made = card.blocks(FIGURES, corpus)
    run = {row[0]: row[1:] for row in rows(made["held-out"])}
    assert run["Test"] == ["run", "YAMNet"]
    assert run["ESC-10, through AudioSet names"] == ["94.4 %", "87.5 %"]
    assert run["ESC-50, through the events"] == ["80.0 %", "-"]
    assert "ESC-50, linear probe on the embedding" not in run
    files = {row[0]: row[1:] for row in rows(made["files"])}
    assert files["Test"] == ["x", "YAMNet"]
    assert files["Named sounds of other sources: mean AP, AudioSet names"] == ["0.400", "0.400"]
    assert files["Median time of a window, one thread, against YAMNet in LiteRT"] == ["0.50", "-"]
    assert "ESC-10, through AudioSet names" not in files


def test_what_is_found_in_a_home_stands_beside_the_teachers(corpus: Any) -> None:
    """Figures of a home alone make no table of the other figures."""
    made = card.blocks({"x": HOME, "y": HOME}, corpus)
    found = {row[0]: row[1:] for row in rows(made["home"])}
    assert found["Test"] == ["x", "y", "YAMNet"]
    assert found["Mean recall, each sound at most 0.05 false alarms an hour"] == ["0.750", "0.750", "0.625"]
    assert found["Default rules: false alarms an hour"] == ["0.500", "0.500", "2.000"]
    assert ["Dog barking", "8", "0.750", "0.750", "0.625"] in rows(made["home-sounds"])
    assert set(made) == {"sources", "home", "home-sounds"}


def test_each_named_and_each_generated_sound_has_a_row(corpus: Any) -> None:
    made = card.blocks(FIGURES, corpus)
    assert ["Bell ringing", "9", "0.100", "0.200"] in rows(made["named"])
    assert ["siren", "4", "0.250 / 0.500", "0.125"] in rows(made["hard"])
    assert ["smoke alarm", "Alarm 0.98, Beep, bleep 0.30"] in rows(made["sounds"])


def test_every_recording_is_counted_among_its_source(corpus: Any) -> None:
    counted = [row[2].split(" / ") for row in rows(card.blocks({}, corpus)["sources"])[2:]]
    assert sum(int(train) + int(held_out) for train, held_out in counted) == len(corpus.clips)
    assert sum(int(held_out) for _, held_out in counted) == sum(clip.split == "val" for clip in corpus.clips)


def test_a_block_that_nothing_is_known_of_is_said(corpus: Any) -> None:
    with pytest.raises(UsageError, match="asks for 'files'; known are sources"):
        card.fill("<!-- files -->\n<!-- end -->", card.blocks({}, corpus))
