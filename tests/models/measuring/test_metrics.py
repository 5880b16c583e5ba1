"""Figures of merit against values worked out by hand, and against counting."""

import importlib

import numpy as np
import pytest

pytest.importorskip("torch", reason="the training recipe needs torch; the bundled model does not")
metrics = importlib.import_module("models.train.measuring.metrics")


def test_average_precision_of_a_ranking_by_hand() -> None:
    score, positive = np.array([0.9, 0.1, 0.8, 0.5]), np.array([True, False, False, True])
    assert metrics.average_precision(score, positive) == pytest.approx((1 / 1 + 2 / 3) / 2)


def test_average_precision_is_the_mean_precision_at_each_hit() -> None:
    rng = np.random.default_rng(0)
    score, positive = rng.random(200), rng.random(200) < 0.2
    hits = [positive[score >= threshold].mean() for threshold in score[positive]]
    assert metrics.average_precision(score, positive) == pytest.approx(np.mean(hits))


def test_recall_is_of_the_positives_above_nearly_all_negatives() -> None:
    negatives = np.arange(1_000) / 1_000  # 1 % of them are above 0.989
    score = np.concatenate((negatives, [0.995, 0.5, 0.98899, 0.9901]))
    positive = np.arange(1_004) >= 1_000
    assert metrics.recall_at(score, positive) == 0.5
    assert metrics.recall_at(score, positive, false=0.05) == 0.75


def test_agreement_is_over_the_classes_that_the_teacher_detects_often_enough() -> None:
    """Of the first class all five are ranked first; the second has them last; the third is detected four times."""
    taught = np.zeros((20, 3))
    taught[:5, 0] = taught[5:10, 1] = taught[:4, 2] = 0.5
    taught[5:, 0] = 0.49
    scores = np.stack((np.linspace(1, 0, 20), np.linspace(1, 0, 20), np.linspace(0, 1, 20)), axis=1)
    second = np.mean([(i + 1) / (i + 6) for i in range(5)])
    assert metrics.agreement(scores, taught) == pytest.approx((1.0 + second) / 2)
    assert metrics.agreement(scores, taught, least=4) < metrics.agreement(scores, taught)


def test_a_probe_tells_apart_what_the_embedding_does() -> None:
    rng = np.random.default_rng(2)
    label = rng.integers(0, 3, 300)
    embedding = rng.standard_normal((300, 8)).astype(np.float32)
    assert metrics.probe(embedding[:200], label[:200], embedding[200:], label[200:]) < 0.55
    embedding[:, 0] += 4.0 * (label == 1)
    embedding[:, 5] += 4.0 * (label == 2)
    assert metrics.probe(embedding[:200], label[:200], embedding[200:], label[200:]) > 0.9


def test_a_few_examples_tell_what_lies_apart() -> None:
    """Three classes in directions of their own, of one of which there are too few examples."""
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1, 2], [8, 8, 5])
    embedding = (np.eye(4)[label] + 0.05 * rng.standard_normal((21, 4))).astype(np.float32)
    assert metrics.few_shot(embedding, label) == 1.0
    assert metrics.few_shot(rng.standard_normal((400, 4)).astype(np.float32), np.arange(400) % 4) < 0.4
