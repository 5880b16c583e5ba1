"""Whether a sound is one of those that were described, or none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from monitor.classify.open_set import OpenSet, prototype
from monitor.messages import Samples

SCALE = 20.0


def unit(vectors: NDArray[np.floating]) -> Samples:
    """Vectors of length one."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32)


def drawn(seed: int, count: int, dims: int = 16) -> Samples:
    """Unit vectors in any direction."""
    return unit(np.random.default_rng(seed).standard_normal((count, dims)))


def axes(*which: int) -> Samples:
    """Unit vectors along the axes of 8 dimensions."""
    return np.eye(8, dtype=np.float32)[list(which)]


def test_a_probability_is_the_softmax_of_one_sound_and_the_background() -> None:
    """At the temperature that is given."""
    sounds, background, heard = axes(0, 1), axes(2, 3, 4), drawn(0, 5, 8)
    weights = np.exp(SCALE * heard @ np.concatenate((sounds, background)).T)
    others = weights[:, 2:].sum(axis=1)
    wanted = np.stack([weights[:, sound] / (weights[:, sound] + others) for sound in (0, 1)], axis=1)
    given = OpenSet(sounds, background, SCALE).probabilities(heard)
    assert given.dtype == np.float32
    np.testing.assert_allclose(given, wanted, rtol=1e-4)


def test_what_nothing_describes_is_none_of_the_sounds() -> None:
    """A sound as far from all descriptions as from each other gets one share among those of the background."""
    probabilities = OpenSet(axes(0, 1), axes(2, 3, 4, 5), SCALE).probabilities(axes(7))
    np.testing.assert_allclose(probabilities, [[0.2, 0.2]], rtol=1e-5)


def test_the_background_is_none_of_the_sounds() -> None:
    """What is described as background gets a probability near zero, what is described as a sound one near one."""
    probabilities = OpenSet(axes(0), axes(1, 2), SCALE).probabilities(axes(0, 1, 2))
    assert probabilities[0] > 0.99
    assert (probabilities[1:] < 1e-6).all()


def test_two_sounds_are_heard_at_once() -> None:
    """They do not share one probability."""
    both = unit(axes(0) + axes(1))
    assert (OpenSet(axes(0, 1), axes(2, 3), SCALE).probabilities(both) > 0.99).all()


def test_a_sound_keeps_its_probability_beside_another() -> None:
    """So a threshold stays right when a sound is added to the configuration."""
    background, heard = drawn(1, 5), drawn(2, 20)
    first, second = drawn(3, 1), drawn(4, 1)
    alone = OpenSet(first, background, SCALE).probabilities(heard)
    together = OpenSet(np.concatenate((first, second)), background, SCALE).probabilities(heard)
    np.testing.assert_allclose(together[:, :1], alone, rtol=1e-4)


def test_a_background_that_means_a_sound_does_not_speak_against_it() -> None:
    """But against the other sounds it does."""
    speech = unit(axes(0) + 0.1 * axes(5))
    open_set = OpenSet(axes(0, 1), np.concatenate((speech, axes(2, 3))), SCALE)
    probabilities = open_set.probabilities(unit(axes(0) + axes(1)))
    assert probabilities[0, 0] > 0.99
    assert probabilities[0, 1] < 0.6


def test_a_background_of_paraphrases_still_speaks() -> None:
    """One that holds nothing else is not passed over: else every window would be the sound."""
    assert OpenSet(axes(0), axes(0), SCALE).probabilities(axes(0, 1)) == pytest.approx(0.5)


@given(st.integers(0, 10**6), st.floats(0.1, 1000.0))
def test_every_answer_is_a_probability(seed: int, scale: float) -> None:
    """Whatever the directions and the temperature, without overflow."""
    probabilities = OpenSet(drawn(seed, 3), drawn(seed + 1, 4), scale).probabilities(drawn(seed + 2, 10))
    assert probabilities.shape == (10, 3)
    assert np.isfinite(probabilities).all()
    assert ((probabilities >= 0) & (probabilities <= 1)).all()


def test_several_phrasings_make_one_direction() -> None:
    """The mean, at unit length."""
    np.testing.assert_allclose(prototype(axes(0, 1)), np.sqrt([0.5, 0.5, 0, 0, 0, 0, 0, 0]), rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(prototype(drawn(5, 7))), 1.0, rtol=1e-6)
