"""The pool: windows drawn as they should be, each with the teacher's answer to it, in shards that can be made again."""

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the training recipe needs torch; the bundled model does not")
pytest.importorskip("scipy", reason="the training recipe needs scipy")
pytest.importorskip("soundfile", reason="the training recipe needs soundfile")
pytest.importorskip("ai_edge_litert", reason="the training recipe needs ai-edge-litert")
pool = importlib.import_module("models.train.learning.pool")
generators = importlib.import_module("models.train.sounds.generators")


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "SHARD", 24)


@pytest.fixture
def found(corpus: Any, teacher: Any, tmp_path: Path) -> Any:
    return pool.survey(corpus, teacher, tmp_path)


@pytest.fixture
def sampler(corpus: Any, found: Any) -> Any:
    return pool.Sampler(corpus, found)


def arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as shard:
        return {key: shard[key] for key in pool.COLUMNS}


def equal(first: Path, second: Path) -> bool:
    return all(np.array_equal(*pair) for pair in zip(arrays(first).values(), arrays(second).values(), strict=True))


def test_a_survey_hears_every_recording_and_is_kept(corpus: Any, teacher: Any, tmp_path: Path) -> None:
    first = pool.survey(corpus, teacher, tmp_path)
    calls = teacher.calls
    assert set(first.clip) == set(range(6))
    assert calls == len(first.clip) == len(first.scores)
    assert first.level[0] == 0.0  # the dog is silent at first
    again = pool.survey(corpus, teacher, tmp_path)
    assert teacher.calls == calls
    np.testing.assert_array_equal(first.scores, again.scores)


def test_what_is_held_out_is_never_drawn_and_a_known_event_as_often_as_any_other(corpus: Any, found: Any) -> None:
    chances = pool.weights(corpus, found)
    event = np.array([corpus.clips[number].event for number in found.clip])
    assert chances.sum() == pytest.approx(1.0)
    assert chances[found.clip == 5].sum() == 0.0
    without_labels = pool.weights(corpus, found) - by_label(corpus, found)
    assert (without_labels >= -1e-12).all()
    assert without_labels.sum() == pytest.approx(1.0 - pool.LABELLED)
    assert (without_labels[(event < 0) & (found.clip != 5)] > 0).all()


def by_label(corpus: Any, found: Any) -> np.ndarray:
    """What a window owes to its label: three events with an equal part each, of which only loud windows have any."""
    answer = np.zeros(len(found.clip))
    for number in (0, 1, 2):
        loud = (found.clip == number) & (found.level >= 0.5 * found.level[found.clip == number].max())
        answer[loud] = pool.LABELLED / 3 / loud.sum()
    return answer


def test_an_event_of_very_few_recordings_is_drawn_less(corpus: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three recordings, one and none of an event, where two are enough."""
    monkeypatch.setattr(pool, "ENOUGH", 2)
    events = (4, 4, 4, 9, -1, -1)
    clips = tuple(
        replace(clip, event=event, split="train") for clip, event in zip(corpus.clips, events, strict=True)
    )  # fmt: skip
    scores = np.full((6, 521), 0.01, np.float16)
    found = pool.Survey(np.arange(6), np.zeros(6, np.int64), scores, np.ones(6, np.float32))
    unlabelled = tuple(replace(clip, event=-1) for clip in clips)
    owed = pool.weights(replace(corpus, clips=clips), found) - pool.weights(replace(corpus, clips=unlabelled), found)
    np.testing.assert_allclose(owed, np.array([2, 2, 2, 3, 0, 0]) / 9 * pool.LABELLED, atol=1e-9)


def test_a_rare_class_is_drawn_more_often_than_a_common_one(corpus: Any) -> None:
    """Two recordings that nothing tells, of one window each: the class of one fills the other recordings too."""
    scores = np.zeros((6, 521), np.float16)
    scores[[0, 1, 2, 3], 7] = scores[4, 8] = 1.0
    found = pool.Survey(np.arange(6), np.zeros(6, np.int64), scores, np.ones(6, np.float32))
    chances = pool.weights(corpus, found)
    assert chances[4] > chances[3] * 1.1


def test_the_teacher_scores_exactly_the_window_that_is_kept(sampler: Any, teacher: Any, tmp_path: Path) -> None:
    pool.label(sampler, teacher, tmp_path / "pool", [0], seed=1)
    kept = arrays(tmp_path / "pool" / "00000.npz")
    assert {key: value.dtype.type for key, value in kept.items()} == pool.COLUMNS
    assert kept["waveform"].shape == (24, 15_600)
    for row in range(24):
        scores, embedding = teacher(kept["waveform"][row].astype(np.float32) / 32_768)
        np.testing.assert_allclose(kept["scores"][row], scores, atol=1e-3)
        np.testing.assert_allclose(kept["embedding"][row], embedding, atol=1e-3)


def test_a_shard_depends_on_its_seed_and_number_alone(sampler: Any, teacher: Any, tmp_path: Path) -> None:
    pool.label(sampler, teacher, tmp_path / "one", [0, 1], seed=1)
    pool.label(sampler, teacher, tmp_path / "two", [1], seed=1)
    pool.label(sampler, teacher, tmp_path / "three", [1], seed=2)
    assert equal(tmp_path / "one" / "00001.npz", tmp_path / "two" / "00001.npz")
    assert not equal(tmp_path / "one" / "00000.npz", tmp_path / "one" / "00001.npz")
    assert not equal(tmp_path / "two" / "00001.npz", tmp_path / "three" / "00001.npz")


def test_labelling_goes_on_where_it_was_stopped(sampler: Any, teacher: Any, tmp_path: Path) -> None:
    """Stopped in the third shard, nothing of that is left; the others are not made again."""
    teacher.calls = 0

    def interrupted(window: Any) -> Any:
        if teacher.calls == 60:
            raise KeyboardInterrupt
        return teacher(window)

    with pytest.raises(KeyboardInterrupt):
        pool.label(sampler, interrupted, tmp_path / "stopped", [0, 1, 2], seed=1)
    assert sorted(path.name for path in (tmp_path / "stopped").iterdir()) == ["00000.npz", "00001.npz"]
    teacher.calls = 0
    pool.label(sampler, teacher, tmp_path / "stopped", [0, 1, 2], seed=1)
    assert teacher.calls == 24
    pool.label(sampler, teacher, tmp_path / "at-once", [2], seed=1)
    assert equal(tmp_path / "at-once" / "00002.npz", tmp_path / "stopped" / "00002.npz")


def test_windows_come_from_generators_and_from_labelled_recordings_in_their_shares(corpus: Any, sampler: Any) -> None:
    rng = np.random.default_rng(3)
    drawn = [sampler.example(rng) for _ in range(400)]
    generated = [example for example in drawn if example.kind >= 0]
    recorded = [example for example in drawn if example.kind < 0]
    assert len(generated) / len(drawn) == pytest.approx(pool.GENERATED, abs=0.06)
    assert all(example.clip == -1 and example.kind < len(generators.GENERATORS) for example in generated)
    assert {example.clip for example in recorded} == {0, 1, 2, 3, 4}
    labelled = np.mean([corpus.clips[example.clip].event >= 0 for example in recorded])
    assert labelled >= pool.LABELLED - 0.08
    assert all(example.window.shape == (15_600,) and np.isfinite(example.window).all() for example in drawn)


def test_a_window_without_its_sound_is_not_said_to_hold_it(corpus: Any, found: Any) -> None:
    """The dog's recording is silent at first: where the teacher has all of it drawn, windows there are not heard."""
    only_dog = np.where(found.clip == 0, 1.0, 0.0).astype(np.float16)
    sampler = pool.Sampler(corpus, replace(found, scores=np.repeat(only_dog[:, None], 521, axis=1)))
    rng = np.random.default_rng(4)
    dogs = [example for _ in range(200) if (example := sampler.example(rng)).clip == 0]
    silent = [example for example in dogs if np.abs(example.window).max() < 1e-6]
    assert silent
    assert not any(example.heard for example in silent)
    assert 0.2 < np.mean([example.heard for example in dogs]) < 0.8


def test_a_label_counts_in_the_loud_half_of_its_recording() -> None:
    levels = np.array([0.1, 0.04, 0.06, 0.001, 0.0])
    windows = np.ones((5, 100), np.float32) * levels[:, None].astype(np.float32)
    heard = pool.loudest_half(windows, np.array([0, 0, 0, 1, 2], np.int32))
    assert heard.tolist() == [True, False, True, True, False]
