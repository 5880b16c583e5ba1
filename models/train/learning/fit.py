"""Training: a network learns the pool's targets; stops and resumes at any step."""

from __future__ import annotations

import copy
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
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ..networks.network import Network
from ..progress import bar
from .pool import SHARD
from .targets import Judge

Batch = tuple[Tensor, Tensor, Tensor, Tensor]
"""Waveforms int16 [batch, 15600], targets of the classes [batch, 521] and of the events [batch, events], and the
teacher's embedding [batch, 1024], float16."""


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
    roll: int = 2_400
    """Samples by which a window is shifted in time, at most, either way: 0.15 s."""
    mask: int = 12
    """Widest strip of frames, and of mel bands, that is hidden from each window."""
    tilt: float = 0.7
    """Spread of the random filter that each window goes through, in log power: 3 dB."""
    mix: float = 0.3
    """How boldly two windows are mixed: the parameter of a symmetric beta distribution."""
    shards: int = 16
    """Shards held in memory at a time, shuffled together."""
    seed: int = 0


class Trainer:
    """Everything that a checkpoint holds."""

    def __init__(self, plan: Plan, network: Network, pool: Path, judge: Judge, train: NDArray[np.bool_]) -> None:
        """`train`: which recordings, by their numbers, may be learned from."""
        torch.manual_seed(plan.seed)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.plan = plan
        self.pool = pool
        self.targets, self.train = judge, train
        self.network: Network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged: Network = copy.deepcopy(self.network)
        self.optimizer = torch.optim.AdamW(parameter_groups(self.network, plan.decay), lr=plan.rate)
        self.step = 0
        self.uses: Counter[str] = Counter()
        """How often each shard was read."""
        self.centre, self.spread = (values.to(self.device) for values in embedding_scale(pool))

    def learn(self, batch: Batch) -> dict[str, float]:
        """One step; the losses."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, self.plan)
        waveform, *targets = (values.to(self.device).float() for values in batch)
        heard, classes, events, wanted = mixed([rolled(waveform / 32768.0, self.plan.roll), *targets], self.plan.mix)
        self.network.train()
        with torch.no_grad():
            logmel = masked(filtered(self.network.frontend(heard), self.plan.tilt), self.plan.mask)
        with torch.autocast(self.device.type, torch.bfloat16):
            scores, of_events, embedding = self.network.listen(logmel, heard)
            projected = self.network.heads.project(embedding)
        losses = {
            "classes": cross_entropy(scores, classes),
            "events": cross_entropy(of_events, events),
            "embedding": functional.mse_loss(projected.float(), (wanted - self.centre) / self.spread),
        }
        self.optimizer.zero_grad(set_to_none=True)
        total = losses["classes"] + losses["events"] + self.plan.embedding * losses["embedding"]
        total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        follow(self.averaged, self.network, min(self.plan.average, (1 + self.step) / (10 + self.step)))
        return {name: loss.item() for name, loss in losses.items()}

    def batches(self) -> Iterator[Batch]:
        """Batches without end, from a few of the least-read shards at a time; new shards join as they appear."""
        while True:
            rng = np.random.default_rng((self.plan.seed, sum(self.uses.values())))
            paths = sorted(self.pool.glob("[0-9]*[0-9].npz"))
            shuffled = [paths[i] for i in rng.permutation(len(paths))]
            chosen = sorted(shuffled, key=lambda path: self.uses[path.name])[: self.plan.shards]
            shards = [read_shard(path, self.targets, self.train) for path in chosen]
            waveform, classes, events, embedding = (torch.cat(parts) for parts in zip(*shards, strict=True))
            order = torch.from_numpy(rng.permutation(len(waveform)))
            for rows in torch.split(order, self.plan.batch):
                if len(rows) == self.plan.batch:
                    yield waveform[rows], classes[rows], events[rows], embedding[rows]
            self.uses.update(path.name for path in chosen)

    def save(self, path: Path) -> None:
        """Write a checkpoint whole or not at all."""
        state = {
            "plan": asdict(self.plan),
            "step": self.step,
            "uses": dict(self.uses),
            "windows": SHARD * len(self.uses),
            "network": self.network.state_dict(),
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
        state: dict[str, Any] = torch.load(path, map_location=self.device, weights_only=True)
        self.step, self.uses = state["step"], Counter(state["uses"])
        self.centre, self.spread = state["centre"], state["spread"]
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])


def fit(
    trainer: Trainer, checkpoint: Path, judge: Callable[[Network], dict[str, float]], judge_every: int,
    save_every: int = 200,
) -> Network:  # fmt: skip
    """Train to the plan's last step, from `checkpoint` if it is there, and return the averaged network.

    `judge` measures the averaged network now and then; its figures go to a .jsonl file beside the checkpoint. Ctrl-C
    saves and ends.
    """
    plan = trainer.plan
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
                note = "  ".join(f"{name} {loss:.2f}" for name, loss in losses.items()) + f"  {pace:.0f} windows/s"
                progress.update(task, completed=trainer.step, note=note)
                if trainer.step % save_every == 0:
                    trainer.save(checkpoint)
                if trainer.step % judge_every == 0 or trainer.step == plan.steps:
                    figures = judge(trainer.averaged.eval())
                    line = {"step": trainer.step, "pace": pace, **losses, **figures}
                    write_line(checkpoint.with_suffix(".jsonl"), line)
        finally:
            trainer.save(checkpoint)
    return trainer.averaged.eval()


def rolled(waveform: Tensor, most: int) -> Tensor:
    """Each row of waveforms [batch, samples] shifted by its own number of samples; what falls out comes in again."""
    samples = waveform.shape[1]
    shift = torch.randint(-most, most + 1, (len(waveform), 1), device=waveform.device)
    return waveform.gather(1, (torch.arange(samples, device=waveform.device) + shift) % samples)


def mixed(batch: list[Tensor], alpha: float) -> list[Tensor]:
    """Each row of a batch mixed with another one, sound and targets alike (mixup, Zhang et al., arXiv 1710.09412)."""
    rows = len(batch[0])
    share = torch.distributions.Beta(alpha, alpha).sample((rows, 1)).to(batch[0].device)
    share = torch.maximum(share, 1.0 - share)
    return [torch.lerp(values.roll(1, 0), values, share) for values in batch]


def masked(logmel: Tensor, widest: int) -> Tensor:
    """Each log-mel [batch, frames, mels] with a random strip of frames and one of bands set to its mean.

    SpecAugment (Park et al., arXiv 1904.08779), against learning the few labelled recordings by heart.
    """
    mean = logmel.mean(dim=(1, 2), keepdim=True)
    for axis in (1, 2):
        width = torch.randint(0, widest + 1, (len(logmel), 1), device=logmel.device)
        start = (torch.rand(len(logmel), 1, device=logmel.device) * (logmel.shape[axis] - width)).long()
        place = torch.arange(logmel.shape[axis], device=logmel.device)
        strip = (place >= start) & (place < start + width)
        logmel = torch.where(strip.unsqueeze(3 - axis), mean, logmel)
    return logmel


def filtered(logmel: Tensor, spread: float, points: int = 6) -> Tensor:
    """Each log-mel [batch, frames, mels] through a filter of its own: random gains at a few bands, straight between.

    FilterAugment (Nam et al., arXiv 2110.03282): no two rooms, loudspeakers and microphones have the same response.
    """
    gains = spread * torch.randn(len(logmel), 1, points, device=logmel.device)
    return logmel + functional.interpolate(gains, logmel.shape[2], mode="linear", align_corners=True)


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy, summed over the classes."""
    loss = functional.binary_cross_entropy_with_logits(logits.float(), target, reduction="sum")
    return loss / len(target)


def parameter_groups(network: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Decay for the weights of convolutions and layers; none for biases and normalisation."""
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def learning_rate(step: int, plan: Plan) -> float:
    """Linear over the first 200 steps, then a cosine that ends at zero on the last."""
    warm = min(1.0, (step + 1) / 200)
    return plan.rate * warm * 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / plan.steps)))


def follow(averaged: nn.Module, network: nn.Module, keep: float) -> None:
    """Move the running average of all weights and statistics a little towards the network's."""
    with torch.no_grad():
        for slow, fast in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
            if slow.dtype.is_floating_point:
                slow.lerp_(fast, 1.0 - keep)
            else:
                slow.copy_(fast)


def read_shard(path: Path, targets: Judge, train: NDArray[np.bool_], doubted: bool = False) -> Batch:
    """The rows of one shard in which only recordings are heard that `train` allows, by their numbers; `doubted`: the
    own event of neither recording in a window counts as absent."""
    with np.load(path) as shard:
        rows = allowed(shard["clip"], train) & allowed(shard["beneath"], train)
        facts = (shard[key][rows] for key in ("near", "far", "clip", "kind", "heard"))
        classes, events = targets(*facts)
        for key in ("clip", "beneath") if doubted else ():
            classes, events = targets.doubted((classes, events), shard[key][rows])
        arrays = (
            shard["waveform"][rows],
            classes.astype(np.float16),
            events.astype(np.float16),
            shard["embedding"][rows],
        )
    waveform, *rest = (torch.from_numpy(array) for array in arrays)
    return waveform, rest[0], rest[1], rest[2]


def allowed(clip: NDArray[np.int32], train: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which recordings may be learned from; -1, which is none, may."""
    return np.asarray((clip < 0) | train[clip])


def embedding_scale(pool: Path) -> tuple[Tensor, Tensor]:
    """Mean and spread [1024] of the teacher's embedding over the pool's first shards."""
    paths = sorted(pool.glob("[0-9]*[0-9].npz"))[:4]
    if not paths:
        raise FileNotFoundError(f"{pool}: no labelled windows; run `label` first")
    embedding = torch.cat([torch.from_numpy(np.load(path)["embedding"]) for path in paths]).float()
    return embedding.mean(0), embedding.std(0).clamp_min(0.05)


def write_line(path: Path, figures: dict[str, float]) -> None:
    """Append one JSON line."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({key: round(value, 5) for key, value in figures.items()}) + "\n")
