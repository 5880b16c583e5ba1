"""Heads are learned anew on an embedding that stays as it is."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the training recipe needs torch; the bundled model does not")
pytest.importorskip("scipy", reason="the training recipe needs scipy")
pytest.importorskip("ai_edge_litert", reason="the training recipe needs ai-edge-litert")
heads = importlib.import_module("models.train.learning.heads")
network = importlib.import_module("models.train.networks.network")


class Still(network.Network):  # type: ignore[misc,name-defined]
    """Hears the mean over time of each mel band."""

    def __init__(self) -> None:
        super().__init__(64)

    def features(self, logmel: Any, _waveform: Any) -> Any:
        return logmel.mean(dim=1) / 5.0


def ring(count: int) -> Any:
    """Embeddings whose first two values lie on a circle or in its middle, which no plane tells apart."""
    torch.manual_seed(3)
    angle, inside = 2 * np.pi * torch.rand(count), torch.rand(count) < 0.5
    radius = torch.where(inside, 0.4, 2.0)
    embedding = torch.zeros(count, network.DIMS)
    embedding[:, 0], embedding[:, 1] = radius * torch.cos(angle), radius * torch.sin(angle)
    target = torch.zeros(count, network.CLASSES + len(network.EVENTS))
    target[:, 0] = target[:, network.CLASSES] = inside.float()
    return embedding.half(), target.half()


def test_what_no_plane_tells_apart_is_learned_and_the_embedding_stays() -> None:
    torch.manual_seed(0)
    made = Still()
    embedding, target = answered = ring(2_000)
    before = made.heads.embed.weight.clone()
    state = heads.fit_heads(made, answered, heads.HeadPlan(epochs=60, batch=100, rate=1e-2, average=0.9))
    with torch.inference_mode():
        classes, events = made.heads.answer(embedding.float())
    for found in (classes[:, 0], events[:, 0]):
        assert ((found > 0) == (target[:, 0] > 0.5)).float().mean() > 0.95
    torch.testing.assert_close(made.heads.embed.weight, before)
    assert not made.training
    assert (state["step"], state["windows"]) == (1_200, 2_000)
    torch.testing.assert_close(state["averaged"]["heads.hidden.weight"], made.heads.hidden.weight)


def test_a_score_is_as_likely_as_it_says() -> None:
    """Where a third of equal embeddings is a sound, the answer is a third: nothing is weighed up."""
    torch.manual_seed(0)
    embedding, target = ring(3_000)
    embedding[:, :2] = 1.0
    target[:, 0] = torch.arange(3_000) % 3 == 0
    made = Still()
    heads.fit_heads(made, (embedding, target), heads.HeadPlan(epochs=10, batch=100, rate=1e-2, average=0.9))
    with torch.inference_mode():
        assert torch.sigmoid(made.heads.answer(embedding[:1].float())[0])[0, 0] == pytest.approx(1 / 3, abs=0.04)


def test_every_batch_of_an_epoch_is_whole_and_new() -> None:
    answered = torch.arange(10.0)[:, None], torch.arange(10.0)[:, None]
    found = [part[0].flatten().tolist() for part in heads.batches(answered, heads.HeadPlan(epochs=2, batch=4))]
    assert [len(part) for part in found] == [4] * 4
    assert len(set(found[0] + found[1])) == 8


def test_a_pool_without_shards_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run `label` first"):
        heads.embedded(Still(), tmp_path, None, np.array([True]))
