"""Training: the student learns the pool's targets; stops and resumes at any step."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .network import Student
from .progress import bar

Batch = tuple[Tensor, Tensor, Tensor]
"""Log-mel [batch, 96, 64], targets [batch, 521], teacher's embedding [batch, 1024]; all float16."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast to learn."""

    steps: int
    batch: int = 192
    rate: float = 3e-3
    """Peak learning rate; a short warm-up before it, a cosine down to zero after it."""
    decay: float = 2e-2
    """AdamW weight decay."""
    average: float = 0.999
    """How much of the running average of the weights stays from step to step."""
    embedding: float = 2.0
    """Weight of the embedding's mean squared error beside the scores' cross-entropy."""
    roll: int = 2
    """Frames by which a batch is shifted in time, at most, either way."""
    shards: int = 16
    """Shards held in memory at a time, shuffled together."""
    seed: int = 0


class Trainer:
    """Everything that a checkpoint holds."""

    def __init__(self, plan: Plan, pool: Path) -> None:
        torch.manual_seed(plan.seed)
        self.plan = plan
        self.pool = pool
        self.student = Student().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = Student()
        self.averaged.load_state_dict(self.student.state_dict())
        self.optimizer = torch.optim.AdamW(parameter_groups(self.student, plan.decay), lr=plan.rate)
        self.step = 0
        self.uses: Counter[str] = Counter()
        """How often each shard was read."""
        self.centre, self.spread = embedding_scale(pool)

    def learn(self, batch: Batch) -> dict[str, float]:
        """One step; the losses."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, self.plan)
        logmel, target, wanted = batch
        shift = int(torch.randint(-self.plan.roll, self.plan.roll + 1, ()))
        self.student.train()
        with torch.autocast("cpu", torch.bfloat16):
            logits, embedding = self.student(torch.roll(logmel.float(), shift, 1))
            projected = self.student.project(embedding)
        scores = functional.binary_cross_entropy_with_logits(logits.float(), target.float(), reduction="sum")
        scores = scores / len(target)
        likeness = functional.mse_loss(projected.float(), (wanted.float() - self.centre) / self.spread)
        self.optimizer.zero_grad(set_to_none=True)
        (scores + self.plan.embedding * likeness).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.student.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        follow(self.averaged, self.student, min(self.plan.average, (1 + self.step) / (10 + self.step)))
        return {"scores": scores.item(), "embedding": likeness.item()}

    def batches(self) -> Iterator[Batch]:
        """Batches without end, from a few of the least-read shards at a time; new shards join as they appear."""
        while True:
            rng = np.random.default_rng((self.plan.seed, sum(self.uses.values())))
            paths = sorted(self.pool.glob("[0-9]*[0-9].npz"))
            shuffled = [paths[i] for i in rng.permutation(len(paths))]
            chosen = sorted(shuffled, key=lambda path: self.uses[path.name])[: self.plan.shards]
            logmel, scores, embedding = (torch.cat(parts) for parts in zip(*map(read_shard, chosen), strict=True))
            order = torch.from_numpy(rng.permutation(len(logmel)))
            for rows in torch.split(order, self.plan.batch):
                if len(rows) == self.plan.batch:
                    yield logmel[rows], scores[rows], embedding[rows]
            self.uses.update(path.name for path in chosen)

    def save(self, path: Path) -> None:
        """Write a checkpoint whole or not at all."""
        state = {
            "plan": asdict(self.plan),
            "step": self.step,
            "uses": dict(self.uses),
            "student": self.student.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "centre": self.centre,
            "spread": self.spread,
        }
        part = path.with_suffix(".part")
        torch.save(state, part)
        part.replace(path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint; the plan stays the new one, so that its end can be moved."""
        state: dict[str, Any] = torch.load(path, weights_only=True)
        self.step, self.uses = state["step"], Counter(state["uses"])
        self.centre, self.spread = state["centre"], state["spread"]
        self.student.load_state_dict(state["student"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])


def fit(
    plan: Plan, work: Path, judge: Callable[[Student], dict[str, float]], judge_every: int, save_every: int = 200
) -> Student:
    """Train to the plan's last step and return the averaged network.

    `judge` measures the averaged network now and then; the figures go to `work`/fit.jsonl. Ctrl-C saves and ends.
    """
    checkpoint = work / "student.pt"
    trainer = Trainer(plan, work / "pool")
    if checkpoint.exists():
        trainer.resume(checkpoint)
    started, first = time.monotonic(), trainer.step
    with bar() as progress:
        task = progress.add_task("fit", total=plan.steps, completed=trainer.step, note="")
        try:
            for batch in trainer.batches():
                if trainer.step >= plan.steps:
                    break
                losses = trainer.learn(batch)
                pace = (trainer.step - first) * plan.batch / (time.monotonic() - started)
                note = f"scores {losses['scores']:.2f}  embedding {losses['embedding']:.3f}  {pace:.0f} windows/s"
                progress.update(task, completed=trainer.step, note=note)
                if trainer.step % save_every == 0:
                    trainer.save(checkpoint)
                if trainer.step % judge_every == 0 or trainer.step == plan.steps:
                    figures = judge(trainer.averaged.eval())
                    write_line(work / "fit.jsonl", {"step": trainer.step, "pace": pace, **losses, **figures})
        finally:
            trainer.save(checkpoint)
    return trainer.averaged.eval()


def parameter_groups(student: Student, decay: float) -> list[dict[str, Any]]:
    """Decay for the weights of convolutions and layers; none for biases and normalisation."""
    parameters = list(student.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def learning_rate(step: int, plan: Plan) -> float:
    """Linear over the first 200 steps, then a cosine that ends at zero on the last."""
    warm = min(1.0, (step + 1) / 200)
    return plan.rate * warm * 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / plan.steps)))


def follow(averaged: nn.Module, student: nn.Module, keep: float) -> None:
    """Move the running average of all weights and statistics a little towards the student's."""
    with torch.no_grad():
        for slow, fast in zip(averaged.state_dict().values(), student.state_dict().values(), strict=True):
            if slow.dtype.is_floating_point:
                slow.lerp_(fast, 1.0 - keep)
            else:
                slow.copy_(fast)


def read_shard(path: Path) -> Batch:
    """All rows of one shard."""
    with np.load(path) as shard:
        logmel, scores, embedding = (torch.from_numpy(shard[key]) for key in ("logmel", "scores", "embedding"))
        return logmel, scores, embedding


def embedding_scale(pool: Path) -> tuple[Tensor, Tensor]:
    """Mean and spread [1024] of the teacher's embedding over the pool's first shards."""
    paths = sorted(pool.glob("[0-9]*[0-9].npz"))[:4]
    if not paths:
        raise FileNotFoundError(f"{pool}: no labelled windows; run `label` first")
    embedding = torch.cat([read_shard(path)[2] for path in paths]).float()
    return embedding.mean(0), embedding.std(0).clamp_min(0.05)


def write_line(path: Path, figures: dict[str, float]) -> None:
    """Append one JSON line."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({key: round(value, 5) for key, value in figures.items()}) + "\n")
