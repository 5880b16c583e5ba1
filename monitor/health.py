"""The health of the monitor, gathered from its parts."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from monitor import __version__
from monitor.audio.source import Source
from monitor.classify.classifier import Classifier
from monitor.control.settings import Settings
from monitor.events.log import EventLog
from monitor.messages import BrokerState, Health, SourceState

LOAD_SPAN = 1.0
"""Least seconds over which the load is measured: a report may follow another at once."""


class HealthReporter:
    """Makes `Health` messages; the publisher reports the broker's state."""

    def __init__(
        self,
        node: str,
        sources: Sequence[Source],
        classifier: Classifier,
        event_log: EventLog,
        dropped: Callable[[], int],
        settings: Settings,
    ) -> None:
        """`dropped` returns how many messages slow consumers have lost."""
        self._settings = settings
        self._node, self._sources, self._classifier = node, sources, classifier
        self._log, self._dropped = event_log, dropped
        self._started = self._before = time.monotonic()
        self._busy = self._load = 0.0
        self._broker, self._broker_detail = BrokerState.DISABLED, ""

    def broker_changed(self, state: BrokerState, detail: str) -> None:
        """Take note of the state of the connection to the broker."""
        self._broker, self._broker_detail = state, detail

    def report(self) -> Health:
        """The state now; `load` covers at least the last `LOAD_SPAN`."""
        now, busy = time.monotonic(), self._classifier.busy
        if now - self._before >= LOAD_SPAN:
            self._load = (busy - self._busy) / (now - self._before)
            self._before, self._busy = now, busy
        return Health(
            at=datetime.now(UTC),
            node=self._node,
            version=__version__,
            uptime=round(now - self._started, 3),
            model=self._classifier.card.name,
            provider=self._classifier.provider,
            load=round(self._load, 4),
            inference_p50=round(self._classifier.percentile(0.5), 6),
            inference_p95=round(self._classifier.percentile(0.95), 6),
            broker=self._broker,
            broker_detail=self._broker_detail,
            messages_dropped=self._dropped(),
            log_problem=self._log.problem,
            log_waiting=self._log.waiting,
            log_lost=self._log.lost,
            profile=self._settings.choices.profile,
            sounds_off=self._settings.off,
            sounds_changed=self._settings.changed,
            sources=tuple(source.health() for source in self._sources),
        )


def status_line(health: Health) -> str:
    """The state of the monitor in one line, for `systemctl status`: what it listens to, and what fails."""
    listening = [each.source for each in health.sources if each.state is SourceState.LISTENING]
    parts = [f"listening to {', '.join(listening)}" if listening else "not listening"]
    for each in health.sources:
        if each.state is not SourceState.LISTENING:
            parts.append(f"{each.source} is {each.state}" + (f" ({each.reason})" if each.reason else ""))
    if health.broker is BrokerState.FAILED:
        parts.append(f"MQTT: {health.broker_detail}")
    if health.log_problem:
        parts.append(f"event log: {health.log_problem}")
    return "; ".join(parts).replace("\n", " ")
