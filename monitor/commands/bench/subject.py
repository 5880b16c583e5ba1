"""The model that is measured, in the process that holds nothing else."""

import re
import time
from pathlib import Path

import numpy as np

from monitor.classify.model import Model
from monitor.commands.bench.figures import Loaded, Memory
from monitor.commands.bench.profile import front_end_share
from monitor.commands.opening import open_any
from monitor.config.schema import ModelConfig
from monitor.errors import ModelError
from monitor.onnx import PROVIDERS


class Subject:
    """Loads a model, and runs it on noise as loud as a room."""

    def __init__(self, config: ModelConfig) -> None:
        self._config = config
        self._model: Model
        self._before, _ = _resident()

    def load(self) -> Loaded:
        """Open it as every command does."""
        begun = time.perf_counter()
        self._model = open_any(Path(self._config.name), self._config)
        spent = time.perf_counter() - begun
        card = self._model.card
        return Loaded(
            name=card.name,
            path=card.path,
            provider=self._model.provider,
            size=card.size,
            window=card.window / card.sample_rate,
            load=spent,
        )

    def run(self, batch: int) -> float:
        """Seconds of one inference."""
        noise = np.random.default_rng(batch).standard_normal((batch, self._model.card.window), np.float32)
        waveforms = np.clip(0.01 * noise, -1, 1)
        begun = time.perf_counter()
        try:
            self._model.run(waveforms)
        except Exception as error:  # ONNX Runtime's errors have no common base
            raise ModelError(f"{self._model.card.path}: cannot run {batch} windows at once") from error
        return time.perf_counter() - begun

    def memory(self) -> Memory:
        """Beyond what the process took before there was a model."""
        now, peak = _resident()
        if self._before is None or now is None or peak is None:
            return Memory(None, None)
        return Memory(now - self._before, peak - self._before)

    def front_end(self) -> float | None:
        """By ONNX Runtime's profile, which counts only the CPU's time."""
        card = self._model.card
        if self._model.provider != PROVIDERS["cpu"]:
            return None
        return front_end_share(Path(card.path), card.window)


def _resident() -> tuple[int | None, int | None]:
    """Bytes of memory that this process takes, and has taken at most; None where there is no /proc."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None, None
    found = {key: 1024 * int(value) for key, value in re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB$", status, re.MULTILINE)}
    return found.get("VmRSS"), found.get("VmHWM")
