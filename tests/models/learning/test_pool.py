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
def wide(corpus: Any) -> Any:
    """The corpus as if it had been recorded at 32 kHz: half as long."""
    return replace(corpus, rate=32_000)


@pytest.fixture
def sampler(wide: Any) -> Any:
    return pool.Sampler(wide, [])


def second(sounds: Any) -> tuple[Any, Any]:
    """The second teacher: logits by the loudness of the two seconds."""
    loudness = np.sqrt(np.square(sounds).mean(axis=1, keepdims=True))
    return np.repeat(10.0 * loudness - 5.0, 521, axis=1), np.repeat(loudness, 384, axis=1)


def arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as shard:
        return {key: shard[key] for key in pool.COLUMNS}


def equal(first: Path, second: Path) -> bool:
    return all(np.array_equal(*pair) for pair in zip(arrays(first).values(), arrays(second).values(), strict=True))


def test_what_is_held_out_is_never_drawn_and_a_second_is_as_likely_as_any_other(sampler: Any) -> None:
    rng = np.random.default_rng(2)
    drawn = np.array([example.clip for example in (sampler.example(rng) for _ in range(600)) if example.clip >= 0])
    shares = np.bincount(drawn, minlength=6) / len(drawn)
    assert shares[5] == 0.0
    seconds = np.maximum(np.array([2.0, 1.0, 1.5, 3.0, 0.2]), pool.LEAST / 32_000)
    np.testing.assert_allclose(shares[:5], seconds / seconds.sum(), atol=0.07)


def test_each_teacher_answers_exactly_what_is_kept(sampler: Any, teacher: Any, tmp_path: Path) -> None:
    pool.label(sampler, teacher, second, tmp_path / "pool", [0], seed=1)
    kept = arrays(tmp_path / "pool" / "00000.npz")
    assert {key: value.dtype.type for key, value in kept.items()} == pool.COLUMNS
    assert kept["waveform"].shape == (24, 15_600)
    for row in range(24):
        scores, embedding = teacher(kept["waveform"][row].astype(np.float32) / 32_768)
        np.testing.assert_allclose(kept["near"][row], pool.logit(scores), atol=0.02)
        np.testing.assert_allclose(kept["embedding"][row], embedding, atol=1e-3)
    assert np.ptp(kept["far"]) > 0.5


def test_the_window_is_the_middle_of_what_the_second_teacher_hears() -> None:
    """A click in the middle of two seconds is in the middle of the window; one at a quarter of them lies before it."""
    sound = np.zeros(64_000, np.float32)
    sound[32_000] = 0.9
    window = pool.as_heard(sound)
    assert window.shape == (15_600,)
    assert abs(int(np.abs(window).argmax()) - 7_800) <= 1
    assert pool.as_heard(np.roll(sound, -16_000)).max() < 30


def test_a_shard_depends_on_its_seed_and_number_alone(sampler: Any, teacher: Any, tmp_path: Path) -> None:
    pool.label(sampler, teacher, second, tmp_path / "one", [0, 1], seed=1)
    pool.label(sampler, teacher, second, tmp_path / "two", [1], seed=1)
    pool.label(sampler, teacher, second, tmp_path / "three", [1], seed=2)
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
        pool.label(sampler, interrupted, second, tmp_path / "stopped", [0, 1, 2], seed=1)
    assert sorted(path.name for path in (tmp_path / "stopped").iterdir()) == ["00000.npz", "00001.npz"]
    teacher.calls = 0
    pool.label(sampler, teacher, second, tmp_path / "stopped", [0, 1, 2], seed=1)
    assert teacher.calls == 24
    pool.label(sampler, teacher, second, tmp_path / "at-once", [2], seed=1)
    assert equal(tmp_path / "at-once" / "00002.npz", tmp_path / "stopped" / "00002.npz")


def test_windows_come_from_generators_in_their_share_and_are_whole(sampler: Any) -> None:
    rng = np.random.default_rng(3)
    drawn = [sampler.example(rng) for _ in range(300)]
    generated = [example for example in drawn if example.kind >= 0]
    assert len(generated) / len(drawn) == pytest.approx(pool.GENERATED, abs=0.06)
    assert all(example.clip == -1 and example.kind < len(generators.GENERATORS) for example in generated)
    assert all(example.sound.shape == (64_000,) and np.isfinite(example.sound).all() for example in drawn)
    assert any(example.beneath >= 0 for example in drawn)
    assert all(example.beneath != 5 for example in drawn)


def test_a_window_without_its_sound_is_not_said_to_hold_it(wide: Any) -> None:
    """The dog's recording is silent at first: where all of it is drawn, windows there are not heard."""
    clips = [replace(clip, split="train" if number == 0 else "val") for number, clip in enumerate(wide.clips)]
    sampler, rng = pool.Sampler(replace(wide, clips=tuple(clips)), []), np.random.default_rng(4)
    dogs = [example for _ in range(200) if (example := sampler.example(rng)).clip == 0]
    silent = [example for example in dogs if np.abs(example.sound[pool.MIDDLE]).max() < 1e-6]
    assert silent
    assert not any(example.heard for example in silent)
    assert 0.2 < np.mean([example.heard for example in dogs]) < 0.9


def test_a_short_sound_lies_whole_in_the_window_and_a_long_one_fills_it() -> None:
    rng = np.random.default_rng(0)
    window = (64_000 - 31_200) // 2
    for _ in range(100):
        start = pool.place(rng, 6_000)
        assert start + window <= 0
        assert start + window + 31_200 >= 6_000
        start = pool.place(rng, 90_000)
        assert 0 <= start + window <= 90_000 - 31_200


def test_the_loudest_window_of_a_sound_is_told_by_its_power() -> None:
    quiet, loud = np.full(31_200, 0.1, np.float32), np.full(31_200, 0.5, np.float32)
    assert pool.loudest(np.concatenate((quiet, loud, quiet[:100]))) == pytest.approx(0.5)
    assert pool.loudest(np.full(15_600, 0.2, np.float32)) == pytest.approx(0.2 * np.sqrt(0.5))
