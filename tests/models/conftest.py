"""A corpus of seconds instead of hours, and a teacher that is a formula."""

import importlib
import importlib.util
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

RATE = 16_000
Samples = NDArray[np.float32]


class FormulaTeacher:
    """Scores a window by the energy in 521 bands, embeds it as 1024 more; counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, window: Samples) -> tuple[Samples, Samples]:
        self.calls += 1
        bands = np.abs(np.fft.rfft(window))[1:7_726].reshape(-1, 5).sum(axis=1)
        scale = bands / (bands.max() + 1e-9)
        return scale[:521].astype(np.float32), scale[521:].repeat(2)[:1_024].astype(np.float32)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Small networks on a busy machine are many times faster so."""
    if importlib.util.find_spec("torch"):
        importlib.import_module("torch").set_num_threads(1)


@pytest.fixture
def teacher() -> FormulaTeacher:
    return FormulaTeacher()


@pytest.fixture(scope="session")
def corpus() -> Any:
    """Six recordings: a dog and a rain of the train split (ESC-50), a siren told by its name, two that nothing tells,
    and one of the val split. The dog is silent at first, then loud."""
    module = importlib.import_module("models.train.data.corpus")
    events = importlib.import_module("models.train.data.events")
    rng = np.random.default_rng(8)
    told = (
        ("ESC-50", "dog", "train", 1, 4.0), ("ESC-50", "rain", "train", 2, 2.0), ("games", "", "train", 0, 3.0),
        ("games", "", "train", 0, 6.0), ("tools", "", "train", 0, 0.4), ("tools", "", "val", 0, 3.0),
    )  # fmt: skip
    clips, pieces = [], []
    for number, (source, label, split, fold, seconds) in enumerate(told):
        name = "sounds/siren.ogg" if number == 2 else f"sounds/{number}.ogg"
        event = events.event_of(label, name)
        clips.append(module.Clip(name, source, "CC0-1.0", label, split, fold, event))
        time = np.arange(int(seconds * RATE)) / RATE
        sound = np.sin(2 * np.pi * 300 * (number + 1) * time) + 0.3 * rng.standard_normal(len(time))
        pieces.append(0.3 * sound * (time > 2.0 if label == "dog" else 1.0))
    audio = np.asarray(np.clip(np.concatenate(pieces), -1, 1) * 32_767, np.int16)
    return module.Corpus(tuple(clips), audio, np.cumsum([0, *map(len, pieces)], dtype=np.int64), "digest")
