"""How the monitor does, gathered from its parts."""

import resource
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from monitor import __version__
from monitor.audio.source import Source
from monitor.classify.classifier import Classifier
from monitor.messages import BrokerState, Health

HEALTH_INTERVAL = 2.0
"""Seconds between two reports."""


class HealthReporter:
    """Makes `Health` messages; knows the broker's state because it is told."""

    def __init__(
        self, node: str, listeners: Sequence[Source], classifier: Classifier, dropped: Callable[[], int]
    ) -> None:
        """`dropped` tells how many messages slow consumers have lost."""
        self._node, self._listeners, self._classifier, self._dropped = node, listeners, classifier, dropped
        self._started = self._before = time.monotonic()
        self._busy = 0.0
        self._broker, self._broker_detail = BrokerState.DISABLED, ""

    def broker_changed(self, state: BrokerState, detail: str) -> None:
        """The connection to the broker stands here now."""
        self._broker, self._broker_detail = state, detail

    def report(self) -> Health:
        """The state now; `load` covers the time since the last report."""
        now, busy = time.monotonic(), self._classifier.busy
        load = (busy - self._busy) / max(1e-3, now - self._before)
        self._before, self._busy = now, busy
        return Health(
            at=datetime.now(UTC),
            node=self._node,
            version=__version__,
            uptime=round(now - self._started, 3),
            model=self._classifier.card.name,
            provider=self._classifier.provider,
            load=round(load, 4),
            inference_p50=round(self._classifier.percentile(0.5), 6),
            inference_p95=round(self._classifier.percentile(0.95), 6),
            broker=self._broker,
            broker_detail=self._broker_detail,
            messages_dropped=self._dropped(),
            sources=tuple(listener.health() for listener in self._listeners),
        )


def summary(health: Health) -> str:
    """A run in one line: what was heard, what it cost."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    sources = health.sources
    return (
        f"listened for {health.uptime:.0f} s to {len(sources)} source{'s' * (len(sources) != 1)}: "
        f"{sum(source.captured for source in sources):.1f} s of audio, "
        f"{sum(source.windows_done for source in sources)} windows, "
        f"{sum(source.windows_dropped for source in sources)} dropped, "
        f"{sum(source.overflows for source in sources)} overflows; "
        f"inference p50 {1000 * health.inference_p50:.2f} ms, p95 {1000 * health.inference_p95:.2f} ms, "
        f"lag {1000 * max(source.lag for source in sources):.0f} ms; "
        f"CPU {100 * (used.ru_utime + used.ru_stime) / max(health.uptime, 1e-3):.1f} % of a core, "
        f"peak memory {used.ru_maxrss / 1024:.0f} MB"
    )
