"""Models with prompts, and their open-set probabilities."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from monitor.classify.classifier import Classifier
from monitor.classify.open import open_model
from monitor.classify.prompted import OpenSet, PromptedModel, prototype
from monitor.config.schema import ModelConfig
from monitor.errors import ModelError
from monitor.messages import Samples, Window
from tests.parts.tiny_clap import RATE, WINDOW, write_tiny_clap
from tests.parts.tiny_model import write_tiny_model

PROMPTS = {"my doorbell": ("up", "an up up up"), "knock": ("down",)}
BACKGROUND = ("silence", "anything else")
SCALE = 20.0


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use an empty cache folder."""
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A model that distinguishes upward and downward clicks."""
    return write_tiny_clap(tmp_path / "clicks.onnx")


def clicks(*heights: float) -> Samples:
    """One window with a click for each height, float32[n, WINDOW]."""
    waveforms = np.zeros((len(heights), WINDOW), np.float32)
    waveforms[:, 100] = heights
    return waveforms


def test_prompts_are_detected(path: Path) -> None:
    """Each sound matches its descriptions, and silence matches none."""
    model = PromptedModel(path, PROMPTS, BACKGROUND)
    probabilities, embeddings = model.run(clicks(0.9, -0.9, 0.0))
    np.testing.assert_array_equal(probabilities > 0.5, [[True, False], [False, True], [False, False]])
    assert embeddings is not None
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1.0, rtol=1e-6)


def test_the_names_are_the_classes(path: Path) -> None:
    """Classes have the order of the configuration; the rest of the card comes from the file."""
    card = PromptedModel(path, PROMPTS, BACKGROUND).card
    assert card.labels == ("my doorbell", "knock")
    assert (card.family, card.sample_rate, card.window) == ("clap", RATE, WINDOW)


def test_a_row_has_the_same_answer_alone(path: Path) -> None:
    """Batches of several sizes have the answers of single rows."""
    model = PromptedModel(path, PROMPTS, BACKGROUND)
    waveforms = clicks(0.9, 0.0, -0.1, 0.3, 0.0)
    alone = np.concatenate([model.run(row[None])[0] for row in waveforms])
    for rows in (2, 3, 5):
        np.testing.assert_allclose(model.run(waveforms[:rows])[0], alone[:rows], rtol=1e-5)


def test_a_larger_scale_sharpens(path: Path) -> None:
    """The scale in the file moves a faint click towards 0 or 1."""
    faint = clicks(0.06)
    sharp = PromptedModel(write_tiny_clap(path.with_name("sharp.onnx"), scale="100"), PROMPTS, BACKGROUND)
    blunt = PromptedModel(write_tiny_clap(path.with_name("blunt.onnx"), scale="1"), PROMPTS, BACKGROUND)
    assert sharp.run(faint)[0][0, 0] > 0.9 > 0.5 > blunt.run(faint)[0][0, 0]


async def test_it_runs_in_the_classifier(path: Path) -> None:
    """`open_model` opens it from the configuration, and the classifier runs it."""
    config = ModelConfig(name=str(path), prompts=PROMPTS, background=BACKGROUND)
    classifier = Classifier(open_model(config), batch=4)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    windows = [Window("room", 0, 0, RATE, waveform, at) for waveform in clicks(-0.9, 0.0)]
    try:
        scores = await classifier.run(windows)
    finally:
        classifier.close()
    assert [list(score.probabilities > 0.5) for score in scores] == [[False, True], [False, False]]


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"scale": None}, "metadata scale is None"),
        ({"scale": "nan"}, "metadata scale is 'nan'"),
        ({"scale": "-1"}, "metadata scale is '-1'"),
        ({"text": None}, "built without a text tower"),
        ({"text": "../clicks"}, "metadata text must be the name"),
        ({"text": "other"}, "other.text: prompts require this file"),
        ({"text_sha256": None}, "clicks.text: damaged"),
        ({"window": None}, "missing metadata: window"),
    ],
)
def test_invalid_metadata_is_an_error(path: Path, entries: dict[str, str | None], said: str) -> None:
    """The error names the invalid entry."""
    write_tiny_clap(path, **entries)
    with pytest.raises(ModelError, match=said):
        PromptedModel(path, PROMPTS, BACKGROUND)


def test_a_file_without_embeddings_is_an_error(tmp_path: Path) -> None:
    """Metadata that requires prompts requires an embedding as well."""
    path = write_tiny_model(tmp_path / "loud.onnx", prompts="required", labels=())
    path.write_bytes(path.read_bytes().replace(b"embedding", b"embeddinh"))
    with pytest.raises(ModelError, match="an output 'embedding'"):
        PromptedModel(path, PROMPTS, BACKGROUND)


def unit(vectors: NDArray[np.floating]) -> Samples:
    """Vectors scaled to unit length."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32)


def drawn(seed: int, count: int, dims: int = 16) -> Samples:
    """Unit vectors in random directions."""
    return unit(np.random.default_rng(seed).standard_normal((count, dims)))


def axes(*which: int) -> Samples:
    """Unit vectors along the axes of 8 dimensions."""
    return np.eye(8, dtype=np.float32)[list(which)]


def test_a_probability_is_the_softmax_of_one_sound_and_the_background() -> None:
    """The probability follows the formula at the given scale."""
    sounds, background, heard = axes(0, 1), axes(2, 3, 4), drawn(0, 5, 8)
    weights = np.exp(SCALE * heard @ np.concatenate((sounds, background)).T)
    others = weights[:, 2:].sum(axis=1)
    wanted = np.stack([weights[:, sound] / (weights[:, sound] + others) for sound in (0, 1)], axis=1)
    given = OpenSet(sounds, background, SCALE).probabilities(heard)
    assert given.dtype == np.float32
    np.testing.assert_allclose(given, wanted, rtol=1e-4)


def test_an_undescribed_sound_scores_low() -> None:
    """A sound equally far from all descriptions gets one share of 1 / (n + 1)."""
    probabilities = OpenSet(axes(0, 1), axes(2, 3, 4, 5), SCALE).probabilities(axes(7))
    np.testing.assert_allclose(probabilities, [[0.2, 0.2]], rtol=1e-5)


def test_background_scores_low() -> None:
    """Described background scores near 0, a described sound near 1."""
    probabilities = OpenSet(axes(0), axes(1, 2), SCALE).probabilities(axes(0, 1, 2))
    assert probabilities[0] > 0.99
    assert (probabilities[1:] < 1e-6).all()


def test_two_sounds_can_be_on_at_once() -> None:
    """Sounds do not share one probability."""
    both = unit(axes(0) + axes(1))
    assert (OpenSet(axes(0, 1), axes(2, 3), SCALE).probabilities(both) > 0.99).all()


def test_a_sound_keeps_its_probability_beside_another() -> None:
    """Adding a sound does not change the probability of another."""
    background, heard = drawn(1, 5), drawn(2, 20)
    first, second = drawn(3, 1), drawn(4, 1)
    alone = OpenSet(first, background, SCALE).probabilities(heard)
    together = OpenSet(np.concatenate((first, second)), background, SCALE).probabilities(heard)
    np.testing.assert_allclose(together[:, :1], alone, rtol=1e-4)


def test_a_background_with_the_meaning_of_a_sound_does_not_compete_with_it() -> None:
    """A background description close to a sound competes with the other sounds only."""
    speech = unit(axes(0) + 0.1 * axes(5))
    open_set = OpenSet(axes(0, 1), np.concatenate((speech, axes(2, 3))), SCALE)
    probabilities = open_set.probabilities(unit(axes(0) + axes(1)))
    assert probabilities[0, 0] > 0.99
    assert probabilities[0, 1] < 0.6


def test_a_background_of_paraphrases_still_competes() -> None:
    """If all background matches the sound, it still counts, as every window would be the sound otherwise."""
    assert OpenSet(axes(0), axes(0), SCALE).probabilities(axes(0, 1)) == pytest.approx(0.5)


@given(st.integers(0, 10**6), st.floats(0.1, 1000.0))
def test_every_answer_is_a_probability(seed: int, scale: float) -> None:
    """Any directions and scale give values in [0, 1] without overflow."""
    probabilities = OpenSet(drawn(seed, 3), drawn(seed + 1, 4), scale).probabilities(drawn(seed + 2, 10))
    assert probabilities.shape == (10, 3)
    assert np.isfinite(probabilities).all()
    assert ((probabilities >= 0) & (probabilities <= 1)).all()


def test_several_phrasings_make_one_direction() -> None:
    """A prototype is the mean of unit vectors, at unit length."""
    np.testing.assert_allclose(prototype(axes(0, 1)), np.sqrt([0.5, 0.5, 0, 0, 0, 0, 0, 0]), rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(prototype(drawn(5, 7))), 1.0, rtol=1e-6)
