"""Runs a model on windows in a worker thread, in batches across sources."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from monitor.classify.model import Model
from monitor.errors import ModelError
from monitor.messages import ModelCard, Scores, Window

HISTORY = 512
"""Number of recent windows behind the latency percentiles."""


class Classifier:
    """Runs one model, one batch at a time."""

    def __init__(self, model: Model, batch: int) -> None:
        """`batch`: most windows in one inference."""
        self._model = model
        self.batch = batch
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self._latencies: deque[float] = deque(maxlen=HISTORY)
        self.busy = 0.0
        """Seconds spent in inference since the start."""

    @property
    def card(self) -> ModelCard:
        """The card of the loaded model."""
        return self._model.card

    @property
    def provider(self) -> str:
        """The execution provider in use."""
        return self._model.provider

    async def run(self, windows: Sequence[Window]) -> list[Scores]:
        """Return the scores of these windows, in their order. Raises `ModelError` for NaN or infinite values."""
        loop = asyncio.get_running_loop()
        scores: list[Scores] = []
        for first in range(0, len(windows), self.batch):
            scores += await loop.run_in_executor(self._worker, self._infer, windows[first : first + self.batch])
        return scores

    def percentile(self, share: float) -> float:
        """Return a quantile of the recent inference times, seconds per window; 0.0 before the first window."""
        return float(np.quantile(self._latencies, share)) if self._latencies else 0.0

    def terminate(self) -> None:
        """Stop the running inference: `run` raises."""
        self._model.terminate()

    def close(self) -> None:
        """Stop the running inference, and join the worker."""
        self.terminate()
        self._worker.shutdown(cancel_futures=True)

    def _infer(self, windows: Sequence[Window]) -> list[Scores]:
        start = time.perf_counter()
        probabilities, embeddings = self._model.run(np.stack([window.samples for window in windows]))
        if not np.isfinite(probabilities).all():
            raise ModelError(
                f"{self.card.path}: the model returned NaN or infinite values; check the file and the provider"
            )
        spent = time.perf_counter() - start
        self.busy += spent
        self._latencies.extend([spent / len(windows)] * len(windows))
        return [
            Scores(probabilities[row], None if embeddings is None else embeddings[row]) for row in range(len(windows))
        ]
