"""Is this one of the sounds that were described, or none of them?

Each sound is weighed against the background alone: its probability is that of the sound in a softmax over the sound
and all background descriptions, at the temperature that the model was trained with. This is the score of NegLabel
(Jiang et al. 2024, arXiv:2403.20078, "Negative Label Guided OOD Detection with Pretrained Vision-Language Models") for
one positive label; the softmax itself is that of zero-shot classification with CLIP (Radford et al. 2021,
arXiv:2103.00020) and CLAP (Wu et al. 2023, arXiv:2211.06687). Sounds do not compete with each other: two may be heard
at once, and a threshold that suits one sound stays right when another is added. Where nothing fits better than the
background does, all are low: with n background descriptions that fit as well, each is at 1 / (n + 1).
"""

import numpy as np
from numpy.typing import NDArray

from monitor.messages import Samples


def prototype(vectors: Samples) -> Samples:
    """One direction float32[dims] for several phrasings float32[phrasings, dims] of the same thing.

    The mean of the unit vectors, at unit length: the ensemble of prompts of Radford et al. 2021, section 3.1.4.
    """
    mean = vectors.mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean), np.float32)


class OpenSet:
    """Turns embeddings of sounds into a probability for each description."""

    def __init__(self, sounds: Samples, background: Samples, scale: float) -> None:
        """Unit vectors `sounds` float32[sounds, dims] and `background` float32[descriptions, dims].

        `scale`: the inverse of the softmax's temperature.
        """
        self._sounds = sounds
        self._background = background
        self._scale = scale
        self._weighed = np.where(_opposed(sounds, background), 0.0, -np.inf)

    def probabilities(self, embeddings: Samples) -> Samples:
        """Unit vectors float32[batch, dims] to float32[batch, sounds] in [0, 1]."""
        background = self._scale * (embeddings @ self._background.T).astype(np.float64)
        against = np.logaddexp.reduce(background[:, None, :] + self._weighed, axis=2)
        evidence = self._scale * (embeddings @ self._sounds.T) - against
        return np.asarray(np.exp(-np.logaddexp(0.0, -evidence)), np.float32)


def _opposed(sounds: Samples, background: Samples) -> NDArray[np.bool_]:
    """bool[sounds, descriptions]: which background descriptions speak against which sounds.

    One that is closer to a sound than any two of the background are to each other says the same as the sound (a sound
    "speech" and the background "people talking"), and would halve its probability. NegLabel likewise mines its negative
    labels by their distance from the positive ones.
    """
    among = background @ background.T
    np.fill_diagonal(among, -1.0)
    opposed: NDArray[np.bool_] = sounds @ background.T <= among.max()
    return np.logical_or(opposed, ~opposed.any(axis=1, keepdims=True))
