"""The heads alone: the embedding of a network stays as it is, and what it answers to it is learned anew.

The embedding of every window in the pool is worked out once, so that an epoch takes seconds.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..networks.network import Network
from ..progress import bar, track
from .fit import cross_entropy, follow, read_shard
from .targets import Judge

Answered = tuple[Tensor, Tensor]
"""Embeddings [n, 512] and targets of the classes and the events [n, 521 + events], float16."""


@dataclass(frozen=True, slots=True)
class HeadPlan:
    """How long and how fast the heads learn."""

    epochs: int = 15
    batch: int = 512
    rate: float = 2e-3
    """Peak learning rate; a short warm-up before it, a cosine down to zero after it."""
    decay: float = 1e-4
    """AdamW weight decay."""
    average: float = 0.995
    """How much of the running average of the weights stays from step to step."""
    seed: int = 0


def embedded(network: Network, pool: Path, judge: Judge, train: NDArray[np.bool_], doubted: bool = False) -> Answered:
    """All windows of the pool whose recordings `train` allows, as `network` hears them; `doubted`: a recording's own
    event never counts as absent."""
    embeddings, targets = [], []
    for path in track(sorted(pool.glob("[0-9]*[0-9].npz")), "embed windows"):
        waveform, classes, events, _ = read_shard(path, judge, train, doubted)
        with torch.inference_mode():
            parts = [network(part.float() / 32768.0)[2].half() for part in torch.split(waveform, 64)]
        embeddings.append(torch.cat(parts))
        targets.append(torch.cat((classes, events), dim=1))
    if not embeddings:
        raise FileNotFoundError(f"{pool}: no labelled windows; run `label` first")
    return torch.cat(embeddings), torch.cat(targets)


def fit_heads(network: Network, answered: Answered, plan: HeadPlan) -> dict[str, Any]:
    """Train the hidden layer and both heads of `network` in place, by plain binary cross-entropy; a checkpoint."""
    torch.manual_seed(plan.seed)
    heads = network.heads.train()
    averaged = copy.deepcopy(heads)
    learned = [*heads.hidden.parameters(), *heads.classes.parameters(), *heads.events.parameters()]
    optimizer = torch.optim.AdamW(learned, lr=plan.rate, weight_decay=plan.decay)
    total = plan.epochs * (len(answered[0]) // plan.batch)
    with bar() as progress:
        task = progress.add_task("fit heads", total=total, note="")
        for step, (embedding, target) in enumerate(batches(answered, plan)):
            warm = min(1.0, (step + 1) / 100)
            for group in optimizer.param_groups:
                group["lr"] = plan.rate * warm * 0.5 * (1.0 + math.cos(math.pi * step / total))
            loss = cross_entropy(torch.cat(heads.answer(embedding), dim=1), target)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            follow(averaged, heads, min(plan.average, (1 + step) / (10 + step)))
            progress.update(task, completed=step + 1, note=f"{loss.item():.3f}")
    network.heads.load_state_dict(averaged.state_dict())
    network.eval()
    return {"plan": asdict(plan), "step": total, "windows": len(answered[0]), "averaged": network.state_dict()}


def batches(answered: Answered, plan: HeadPlan) -> Iterator[tuple[Tensor, Tensor]]:
    """Whole batches of all windows, in a new order each epoch."""
    for _ in range(plan.epochs):
        for rows in torch.split(torch.randperm(len(answered[0])), plan.batch):
            if len(rows) == plan.batch:
                yield answered[0][rows].float(), answered[1][rows].float()
