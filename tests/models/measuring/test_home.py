"""What a model finds in a home is measured against how often it misfires there."""

import importlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the training recipe needs torch; the bundled model does not")
pytest.importorskip("scipy", reason="the training recipe needs scipy")
pytest.importorskip("ai_edge_litert", reason="the training recipe needs ai-edge-litert")
home = importlib.import_module("models.train.measuring.home")
beside = importlib.import_module("models.train.measuring.beside")
corpora = importlib.import_module("models.train.data.corpus")
EVENT_NAMES = importlib.import_module("models.train.data.events").EVENT_NAMES

LABELS = ("Dog barking", "Dog", "Bark", "Cough", "Coughing", "Speech", "Smoke alarm")
HOUR = 14_400
"""Windows an hour."""


@pytest.fixture
def room() -> Any:
    """Of the val split a minute of talk by two people, music, six dogs and one cough; a dog and music to train on."""
    told = [("talk", "bg-speech", 30.0, "val")] * 2 + [("tunes", "bg-music", 20.0, "val")]
    told += [("dogs", "event", 1.5, "val")] * 6 + [("coughs", "event", 1.0, "val")]
    told += [("dogs", "event", 1.0, "train"), ("radio", "bg-music", 5.0, "train")]
    event = {"dogs": EVENT_NAMES.index("Dog barking"), "coughs": EVENT_NAMES.index("Coughing")}
    clips = tuple(
        corpora.Clip(f"{number}.ogg", source, "CC0-1.0", "", split, 0, event.get(source, -1), kind)
        for number, (source, kind, _, split) in enumerate(told)
    )
    lengths = [int(seconds * 16_000) for _, _, seconds, _ in told]
    audio = np.random.default_rng(1).integers(-3_000, 3_000, sum(lengths)).astype(np.int16)
    return corpora.Corpus(clips, audio, np.cumsum([0, *lengths]), "digest")


def answers(corpus: Any, dogs: list[float], background: float) -> Any:
    """A model that hears each dog with a score, in the middle window, and a dog once in the background."""
    found = home.streams(corpus)
    scores, given = [], iter(dogs)
    for stream in found:
        rows = np.zeros((len(stream.windows(corpus)), len(LABELS)), np.float32)
        rows[len(rows) // 2, 0] = next(given) if stream.event else background
        scores.append(rows)
    return home.Heard(tuple(found), tuple(scores), LABELS)


def test_background_of_one_source_is_heard_on_end_and_rare_sounds_are_left_out(room: Any) -> None:
    found = home.streams(room)
    assert [(stream.numbers, stream.event) for stream in found[:2]] == [((0, 1), ""), ((2,), "")]
    assert [stream.event for stream in found[2:]] == ["Dog barking"] * 6
    assert found[0].samples(room).shape == (60 * 16_000,)
    assert len(found[0].windows(room)) == (60 * 16_000 - 15_600) // 4_000 + 1
    assert home.background(room, "train") == [home.Stream((11,))]


def test_a_sound_of_a_home_has_silence_around_it(room: Any) -> None:
    dog = home.streams(room)[2]
    samples = dog.samples(room)
    assert len(samples) == 24_000 + 15_600
    assert not samples[:7_800].any()
    assert not samples[-7_800:].any()


def test_recall_is_of_what_lies_above_every_false_alarm(room: Any) -> None:
    """In a minute and a half of background no false alarm is allowed: the dogs must score more than it does."""
    found = home.figures(answers(room, [0.9, 0.8, 0.7, 0.6, 0.5, 0.4], 0.65))
    assert found["recall"] == dict.fromkeys(("0.05", "0.1", "0.34", "1"), 0.5)
    assert found["one_threshold"] == 0.5
    assert found["sounds"] == {"Dog barking": [6, 0.5, 0.5, 0.5, 0.5]}


def test_either_head_is_measured_by_itself(room: Any) -> None:
    """This model knows dogs by their event alone."""
    heard = answers(room, [0.9] * 6, 0.1)
    assert home.figures(heard, names=False)["one_threshold"] == 1.0
    assert home.figures(heard, events=False)["one_threshold"] == 0.0


def test_the_default_rules_are_played_through(room: Any) -> None:
    """A single loud window is strong evidence of a dog; a weak one is none; the background holds a loud one."""
    heard = answers(room, [0.95, 0.95, 0.95, 0.6, 0.6, 0.1], 0.95)
    found = home.by_rules(heard, room)
    assert found["found"] == {"Dog barking": [3, 6]}
    assert found["recall"] == 0.5
    assert found["false_alarms"]["Dog"] == 2
    assert found["false_alarms_an_hour"] == pytest.approx(2 / heard.hours, abs=0.01)
    assert "Speech" not in found["false_alarms"]


def test_a_decision_that_hangs_on_the_hop_grid_is_unsteady(room: Any) -> None:
    """A model that hears dogs only where they begin on the grid decides one way at one of five places."""

    def listen(stream: Any) -> Any:
        rows = np.zeros((len(stream.windows(room)), len(LABELS)), np.float32)
        rows[len(rows) // 2, 0] = 0.95 if stream.shift == 0 else 0.1
        return rows

    found = home.streams(room)
    assert home.steadiness(listen, LABELS, found, room) == 0.8
    assert home.steadiness(lambda stream: listen(replace(stream, shift=0)), LABELS, found[:4], room) == 1.0


def test_all_figures_of_a_model_name_both_heads(room: Any) -> None:
    heard = answers(room, [0.9] * 6, 0.1)
    other = replace(heard, labels=("Bark", "Dog", "Growling", "Cough", "Hiss", "Speech", "Music"))
    found = home.measure({"model": heard, "YAMNet": other}, room)
    assert {"names_alone", "events_alone"} <= set(found["model"])
    assert "names_alone" not in found["YAMNet"]
    assert home.facts(heard) == {"background_hours": round(heard.hours, 3), "recordings": 6, "kinds": 1}


def test_the_second_teacher_hears_two_seconds_around_each_window(room: Any) -> None:
    """Its sounds are as many as the windows, and the window lies in their middle."""
    wide = replace(room, audio=np.repeat(room.audio, 2), bounds=2 * room.bounds, rate=32_000)
    stream, given = home.streams(room)[1], []

    def second(sounds: Any) -> tuple[Any, Any]:
        given.append(sounds)
        return np.zeros((len(sounds), 521), np.float32), np.zeros((len(sounds), 384), np.float32)

    windows = stream.windows(room)
    assert beside.far(stream.samples(wide), len(windows), second).shape == (len(windows), 521)
    sounds = np.concatenate(given)
    assert sounds.shape == (len(windows), 64_000)
    middle = (64_000 - 31_200) // 2
    np.testing.assert_array_equal(sounds[20, middle : middle + 31_200 : 2], windows[20])
