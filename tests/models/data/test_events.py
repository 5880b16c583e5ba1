"""The table of events: names that tell apart, AudioSet names that exist, and file names that say what they hold."""

import importlib
import json
from pathlib import Path

import pytest

from monitor.zoo.families.audioset import labels

pytest.importorskip("torch", reason="the package needs torch")
events = importlib.import_module("models.train.data.events")
esc50 = importlib.import_module("models.train.data.labels")


def test_names_are_unlike_each_other_and_every_audioset_name() -> None:
    """Both stand in one list of labels, which a person may type in any case."""
    names = [name.casefold() for name in (*events.EVENT_NAMES, *labels())]
    assert len(set(names)) == len(names)


def test_evidence_is_by_names_that_the_teacher_has() -> None:
    """The teacher's names are those of the bundled models, and AudioSet's."""
    onnx = pytest.importorskip("onnx", reason="reading a bundled model's labels needs onnx")
    model = onnx.load(min((Path(__file__).parents[3] / "models").glob("*.onnx")))
    taught = json.loads(next(entry.value for entry in model.metadata_props if entry.key == "labels"))
    for event in events.EVENTS:
        evidence = (*event.surely, *event.also)
        assert evidence, event
        assert len(set(evidence)) == len(evidence), event
        assert set(evidence) <= set(taught) & set(labels()), event


def test_every_class_of_esc50_is_exactly_one_event() -> None:
    assert sorted(event.esc50 for event in events.EVENTS if event.esc50) == sorted(esc50.ESC50_NAMES)


def test_a_label_says_more_than_a_file_name() -> None:
    assert events.EVENT_NAMES[events.event_of("rain", "misc/siren.ogg")] == "Raining"


@pytest.mark.parametrize(
    ("path", "event"),
    [
        ("usr/share/sounds/siren.ogg", "Emergency siren"), ("siren.wav", "Emergency siren"),
        ("sounds/Glassbreak2.ogg", "Glass breaking"), ("x/DOORBELL.ogg", ""), ("donateacry/a-b.wav", "Baby crying"),
        ("asterisk/sounds/en/hello.gsm", "People talking"), ("asterisk/sounds/en/beep.gsm", "Beeping"),
        ("pics/sirens-of-titan.ogg", ""), ("sea/brain.ogg", ""), ("weather/rain2.ogg", "Raining"),
        ("Human/Laugh-male1.wav", "Laughing"), ("sounds/jet_engine_inside.wav", "Airplane flying"),
        ("sounds/helicopter_engine_start.wav", "Helicopter flying"), ("kit/808_Clap.flac", ""), ("x/boat-horn.wav", ""),
    ],
)  # fmt: skip
def test_a_file_name_says_an_event_only_plainly(path: str, event: str) -> None:
    number = events.event_of("", path)
    assert (events.EVENT_NAMES[number] if number >= 0 else "") == event
