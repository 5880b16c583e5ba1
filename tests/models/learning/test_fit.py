"""Training learns, stops, resumes, and spreads its attention over the pool."""

import importlib
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monitor.zoo.families.audioset import labels

torch = pytest.importorskip("torch", reason="the training recipe needs torch; the bundled model does not")
pytest.importorskip("scipy", reason="the training recipe needs scipy")
pytest.importorskip("ai_edge_litert", reason="the training recipe needs ai-edge-litert")
pytest.importorskip("soundfile", reason="the training recipe needs soundfile")
fit = importlib.import_module("models.train.learning.fit")
pool = importlib.import_module("models.train.learning.pool")
network = importlib.import_module("models.train.networks.network")
targets = importlib.import_module("models.train.learning.targets")

ROWS = 32
TRAIN = np.array([True])
"""The one recording that there is may be learned from."""


class Tiny(network.Network):  # type: ignore[misc,name-defined]
    """Hears the mean over time of each mel band, and nothing else."""

    def __init__(self) -> None:
        super().__init__(64)
        self.scale = torch.nn.Linear(64, 64)

    def features(self, logmel: Any, _waveform: Any) -> Any:
        return self.scale(logmel.mean(dim=1) / 5.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A pool of two shards: noise of the one kind or the other, and what the teacher says to each."""
    (tmp_path / "pool").mkdir()
    for number in (0, 1):
        write_shard(tmp_path / "pool", number)
    return tmp_path / "pool"


def write_shard(folder: Path, number: int) -> None:
    rng = np.random.default_rng(number)
    rows = []
    for row in range(ROWS):
        noise = rng.standard_normal(15_600) * 3_000
        waveform = noise if row % 2 else np.cumsum(noise) / 50
        logits, embedding = np.full(521, -9.0), np.full(1_024, row % 2 + 0.1 * rng.standard_normal())
        logits[row % 2] = 2.2
        heard = waveform.clip(-32_768, 32_767).astype(np.int16)
        rows.append((heard, logits, embedding, logits, -1, -1, -1, True))
    pool.save_shard(pool.shard_path(folder, number), rows)


def trainer(folder: Path, **plan: Any) -> Any:
    values = {"steps": 12, "batch": 16, "rate": 0.1, "average": 0.5, "seed": 5, **plan}
    torch.manual_seed(1)
    return fit.Trainer(fit.Plan(**values), Tiny(), folder, targets.Judge(list(labels())[:521], [-1]), TRAIN)


@pytest.fixture(autouse=True)
def _names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool's teacher has 521 classes: which names they bear does not matter here."""
    monkeypatch.setattr(targets, "indices_of", lambda names, _all: [number for number, _ in enumerate(names)])


def no_figures(_network: Any) -> dict[str, float]:
    return {"figure": 0.5}


def lines(checkpoint: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in checkpoint.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_few_steps_bring_every_loss_down_and_the_sounds_apart(folder: Path) -> None:
    learner = trainer(folder, steps=60)
    batches = learner.batches()
    losses = [learner.learn(next(batches)) for _ in range(60)]
    for name in ("classes", "events", "embedding"):
        assert np.mean([loss[name] for loss in losses[-5:]]) < 0.7 * np.mean([loss[name] for loss in losses[:5]])
    waveform, wanted, _, _ = fit.read_shard(pool.shard_path(folder, 0), learner.targets, TRAIN)
    with torch.inference_mode():
        answer = learner.averaged.eval()(waveform.float() / 32_768)[0]
    assert (answer[:, :2].argmax(1) == wanted[:, :2].argmax(1)).float().mean() > 0.9


def test_a_run_that_was_stopped_goes_on_from_its_step(folder: Path, tmp_path: Path) -> None:
    """Ctrl-C while the figures of step 5 are taken: the checkpoint is that step's."""
    checkpoint = tmp_path / "tiny.pt"

    def interrupt(_network: Any) -> dict[str, float]:
        raise KeyboardInterrupt

    first, second, third = (trainer(folder) for _ in range(3))
    with pytest.raises(KeyboardInterrupt):
        fit.fit(first, checkpoint, interrupt, judge_every=5)
    second.resume(checkpoint)
    assert second.step == first.step == 5
    assert second.uses == first.uses == {"00000.npz": 1, "00001.npz": 1}
    for part in ("network", "averaged", "optimizer"):
        kept, read = (getattr(learner, part).state_dict() for learner in (first, second))
        torch.testing.assert_close(read, kept, rtol=0.0, atol=0.0)

    answer = fit.fit(third, checkpoint, no_figures, judge_every=5)
    assert third.step == 12
    assert answer is third.averaged
    assert not answer.training
    assert [line["step"] for line in lines(checkpoint)] == [10, 12]
    assert lines(checkpoint)[0]["figure"] == 0.5


def test_a_finished_run_is_not_trained_further(folder: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "tiny.pt"
    before = fit.fit(trainer(folder), checkpoint, no_figures, judge_every=100).state_dict()
    torch.testing.assert_close(fit.fit(trainer(folder), checkpoint, no_figures, judge_every=100).state_dict(), before)
    assert len(lines(checkpoint)) == 1


def test_every_shard_is_read_before_any_twice_and_new_ones_join(folder: Path) -> None:
    learner = trainer(folder, shards=1)
    batches = learner.batches()
    for _ in range(2 * ROWS // 16):
        next(batches)
    write_shard(folder, 2)
    for _ in range(ROWS // 16 + 1):
        next(batches)
    assert learner.uses == {"00000.npz": 1, "00001.npz": 1, "00002.npz": 1}


def test_batches_hold_the_rows_of_the_pool_and_their_targets(folder: Path) -> None:
    waveform, classes, events, embedding = next(trainer(folder, shards=1).batches())
    assert (waveform.dtype, classes.shape, embedding.shape) == (torch.int16, (16, 521), (16, 1_024))
    assert events.shape[1] == len(targets.EVENTS)
    coloured = waveform.float().diff().std(dim=1) < waveform.float().std(dim=1)
    assert (classes[:, 0] > 0.5).tolist() == coloured.tolist()  # the cumulated noise is the first class


def test_a_window_of_a_recording_that_is_kept_out_is_left_out(folder: Path) -> None:
    """Both recordings of a window count: the main one, and the one beneath it."""
    with np.load(pool.shard_path(folder, 0)) as shard:
        columns = {key: shard[key] for key in pool.COLUMNS}
    columns["clip"][:4], columns["beneath"][4:7] = 1, 1
    pool.save_shard(pool.shard_path(folder, 0), list(zip(*columns.values(), strict=True)))
    judge = targets.Judge(list(labels())[:521], [-1, -1])
    assert len(fit.read_shard(pool.shard_path(folder, 0), judge, np.array([True, False]))[0]) == ROWS - 7
    assert len(fit.read_shard(pool.shard_path(folder, 0), judge, np.array([True, True]))[0]) == ROWS


def test_a_pool_without_shards_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run `label` first"):
        trainer(tmp_path)


def test_the_rate_warms_up_and_ends_at_zero() -> None:
    plan = fit.Plan(steps=1_000, rate=2.0)
    rates = [fit.learning_rate(step, plan) for step in range(1_001)]
    assert rates[0] == pytest.approx(0.01)
    assert max(rates) == pytest.approx(2.0, rel=0.1)
    assert int(np.argmax(rates)) == pytest.approx(199, abs=1)
    assert rates[1_000] == pytest.approx(0.0, abs=1e-9)
    assert all(later < sooner for sooner, later in pairwise(rates[200:]))


def test_biases_and_norms_do_not_decay() -> None:
    weights, others = fit.parameter_groups(network.BranchAlone(), 0.1)
    assert (weights["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    assert {p.ndim for p in weights["params"]} == {2, 4}
    assert {p.ndim for p in others["params"]} == {1}


def test_the_average_follows_weights_and_takes_counts() -> None:
    slow, fast = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    fast.weight.data.fill_(3.0)
    fast.num_batches_tracked.fill_(7)
    fit.follow(slow, fast, keep=0.75)
    assert slow.weight.tolist() == [1.5, 1.5]
    assert slow.num_batches_tracked == 7


def test_a_strip_of_frames_and_one_of_bands_are_hidden() -> None:
    logmel = torch.randn(50, 64, 64)
    hidden = fit.masked(logmel, 12) != logmel
    frames, bands = hidden.all(dim=2).sum(dim=1), hidden.all(dim=1).sum(dim=1)
    assert (frames.max(), bands.max()) == (12, 12)
    assert (hidden.sum(dim=(1, 2)) == 64 * (frames + bands) - frames * bands).all()
    assert torch.equal(fit.masked(logmel, 0), logmel)


def test_each_window_goes_through_a_filter_of_its_own_that_stays_for_all_its_frames() -> None:
    change = fit.filtered(torch.zeros(200, 64, 64), 0.7)
    assert torch.equal(change, change[:, :1].expand_as(change))
    assert change[:, 0, 0].std() == pytest.approx(0.7, rel=0.2)
    assert change[:, 0].diff(n=2, dim=1).abs().gt(1e-4).sum(dim=1).max() <= 8  # straight between six points
    assert torch.equal(fit.filtered(torch.ones(2, 64, 64), 0.0), torch.ones(2, 64, 64))


def test_sounds_and_targets_are_mixed_by_the_same_shares_and_the_louder_one_stays() -> None:
    rows = torch.eye(64)
    sound, target = fit.mixed([rows, 10.0 * rows], 0.3)
    assert torch.allclose(target, 10.0 * sound)
    assert torch.allclose(sound.sum(dim=1), torch.ones(64))
    assert 0.5 <= sound.diagonal().min() < 0.7 < sound.diagonal().max()
    assert (sound > 0).sum(dim=1).max() == 2


def test_each_window_is_shifted_by_its_own_share_and_nothing_of_it_is_lost() -> None:
    waveform = torch.arange(1_000.0).repeat(50, 1)
    moved = fit.rolled(waveform, 20)
    starts = moved[:, 0].long()
    assert torch.equal(moved.sort(dim=1).values, waveform)
    assert all(torch.equal(row, torch.roll(waveform[0], -int(start))) for row, start in zip(moved, starts, strict=True))
    assert len(starts.unique()) > 10
    assert ((starts <= 20) | (starts >= 980)).all()
    assert torch.equal(fit.rolled(waveform, 0), waveform)
