"""Builds the parts of a monitor, and supervises them from start to end."""

import asyncio
import contextlib
import logging
import os
import resource
import signal
from collections.abc import Awaitable, Callable, Iterator

from monitor.audio.selection import selected_sources, source_names
from monitor.audio.source import Source
from monitor.audio.spec import SourceKind, opener, parse_spec
from monitor.audio.windows import Grid
from monitor.classify.classifier import Classifier
from monitor.classify.open import open_model
from monitor.config.paths import event_log_path, settings_path
from monitor.config.schema import Config
from monitor.control.settings import Settings
from monitor.control.store import SettingsFile
from monitor.detect.rules import resolve
from monitor.events.journal import Journal
from monitor.events.log import EventLog
from monitor.events.owner import owned
from monitor.health import HealthReporter, status_line
from monitor.hub import Hub, LocalFeed
from monitor.messages import Detection, Feed, Health
from monitor.mqtt.assembly import publisher_for
from monitor.mqtt.publisher import Publisher
from monitor.mqtt.topics import RESERVED
from monitor.notify import Watchdog, notify
from monitor.pipeline import Pipeline, SourceTrack

log = logging.getLogger(__name__)

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that end the monitor. A SIGHUP that the parent has ignored, as nohup does, stays ignored."""
SHUTDOWN = 10.0
"""Seconds that an orderly shutdown may take before it is cut short."""
ECHO = 0.5
"""Seconds within which a second signal counts as the same one: a terminal or `timeout` signals the whole process group,
and some parents pass the signal on as well."""
HEALTH_INTERVAL = 2.0
"""Seconds between two health reports."""
SUMMARY_AFTER = 10.0
"""Seconds of a run after which the log gets its summary; that of a shorter run is a debug message."""
HISTORY = 50
"""Earlier detections that a display starts with."""

Display = Callable[[Feed], Awaitable[None]]
"""Shows a feed until it ends; if it returns earlier, the monitor ends."""


class Service:
    """One monitor, from start to end."""

    def __init__(self, config: Config) -> None:
        """Load the model, check the rules and name the sources; opens no source. Raises `MonitorError`."""
        model = open_model(config.model)
        card = model.card
        hop = max(1, round(config.model.hop * card.sample_rate))
        rules = resolve(config.detection, card.labels, card.window / card.sample_rate, config.model.hop)
        self._settings = Settings(rules, config.profiles, [rule.label for rule in config.detection.rules])
        self._settings_file = SettingsFile(settings_path(config))
        node = config.node_name
        self._classifier = Classifier(model, config.model.batch)
        self._hub = Hub()
        self._log = EventLog(event_log_path(config), config.events.keep_days, config.events.max_mb)
        self._sources = _sources(config, Grid(card.sample_rate, card.window, hop))
        tracks = {source.name: SourceTrack(source.name, node, card, rules, hop) for source in self._sources}
        invented = frozenset(source.name for source in self._sources if source.demonstration)
        self._journal = Journal(self._log, self._deliver, invented)
        self._pipeline = Pipeline(self._sources, self._classifier, tracks, self._journal, self._hub)
        self._health = HealthReporter(node, self._sources, self._classifier, self._log, self._dropped, self._settings)
        self._on_detection: Callable[[Detection], None] = lambda _: None
        for source in self._sources:
            source.on_change = self._publish_health
        self._publisher: Publisher | None = None
        if config.mqtt.host is not None:
            self._settings_file.restore(self._settings)
            self._pipeline.apply(self._settings)
            sounds = {rule.label: rule.class_names(card.labels) for rule in rules}
            self._publisher = publisher_for(
                config.mqtt,
                node,
                list(tracks),
                sounds,
                self._settings,
                self._apply_settings,
                self._hub,
                self._log,
                self._health.broker_changed,
            )
        self._watchdog = Watchdog()
        self._ready, self._status = False, ""
        self._signals: list[signal.Signals] = []
        self._deadline: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """Start an orderly shutdown: sources first, then what they feed. Returns at once; a hang is cut short later."""
        if self._deadline is None:
            notify(STOPPING="1")
            self._deadline = asyncio.get_running_loop().call_later(SHUTDOWN, self._break_off)
        for source in self._sources:
            source.stop()

    async def run(
        self,
        display: Display | None = None,
        on_detection: Callable[[Detection], None] = lambda _: None,
        duration: float | None = None,
    ) -> signal.Signals | None:
        """Listen until all sources have ended, `duration` seconds are over, the display returns, or a signal comes.

        `on_detection` receives each detection before the hub does, and must not block. Returns the signal that ended
        the monitor. Raises the `SourceError` of a source that failed, and passes on a cancellation, which ends at once
        instead of in order. Raises `InUseError` if another monitor uses the same event log.
        """
        self._on_detection = on_detection
        with self._signals_handled(), owned(self._log.path):
            timer = asyncio.get_running_loop().call_later(duration, self.stop) if duration is not None else None
            self._task = asyncio.create_task(self._run_tasks(display), name="monitor")
            try:
                await self._task
            except asyncio.CancelledError:
                if (caller := asyncio.current_task()) is not None and caller.cancelling():
                    raise
                log.warning("shutdown cut short: not everything ended in time")
            finally:
                for handle in (timer, self._deadline):
                    if handle is not None:
                        handle.cancel()
                try:
                    await self._log.close()
                finally:
                    self._classifier.close()
        failures = [source.failure for source in self._sources if source.failure is not None]
        if failures:
            raise failures[0]
        return self._signals[0] if self._signals else None

    def _break_off(self) -> None:
        self._classifier.terminate()
        if self._task is not None:
            self._task.cancel()

    async def _run_tasks(self, display: Display | None) -> None:
        self._log.end_interrupted()  # before the first detection; not awaited, as the disk may not answer
        log.info("model %s on %s", self._classifier.card.name, self._classifier.provider)
        async with asyncio.TaskGroup() as tasks:
            for source in self._sources:
                tasks.create_task(source.run(), name=f"listen to {source.name}")
            if self._publisher is not None:
                tasks.create_task(self._publisher.run(), name="publish")
            if display is not None:
                feed = LocalFeed(self._hub, "this machine", await self._log.recent(HISTORY))
                tasks.create_task(self._show(display, feed), name="display")
            reporter = tasks.create_task(self._report(), name="health")
            self._pipeline.on_progress = self._progressed
            await self._pipeline.run()
            await self._journal.drained()
            reporter.cancel()
            health = self._health.report()
            self._hub.publish(health)
            self._hub.close()
            log.log(logging.INFO if health.uptime >= SUMMARY_AFTER else logging.DEBUG, _summary(health))

    async def _show(self, display: Display, feed: Feed) -> None:
        """The monitor ends with its display."""
        try:
            await display(feed)
        finally:
            self.stop()

    async def _apply_settings(self) -> None:
        self._pipeline.apply(self._settings)
        self._publish_health()
        await self._settings_file.save(self._settings.choices)

    def _dropped(self) -> int:
        """Messages that slow consumers did not take in time."""
        return self._hub.dropped + (self._publisher.dropped if self._publisher is not None else 0)

    def _deliver(self, detection: Detection) -> None:
        self._on_detection(detection)
        self._hub.publish(detection)

    def _progressed(self) -> None:
        """systemd counts the monitor as started once windows are analysed or waited for, and alive as long as."""
        if not self._ready:
            self._ready = True
            notify(READY="1")
        self._watchdog.progress()

    def _publish_health(self) -> Health:
        health = self._health.report()
        self._hub.publish(health)
        if (status := status_line(health)) != self._status:
            self._status = status
            notify(STATUS=status)
        return health

    async def _report(self) -> None:
        dropped = 0
        while True:
            self._log.watch_clock()
            health = self._publish_health()
            newly = sum(source.windows_dropped for source in health.sources) - dropped
            if newly:
                log.warning("this machine is too slow: skipped %d windows to stay in real time", newly)
                dropped += newly
            await asyncio.sleep(HEALTH_INTERVAL)

    @contextlib.contextmanager
    def _signals_handled(self) -> Iterator[None]:
        """The first signal shuts down in order, the second cuts that short, the third kills."""
        loop = asyncio.get_running_loop()
        last = -ECHO

        def caught(number: signal.Signals) -> None:
            nonlocal last
            echo, last = loop.time() - last < ECHO, loop.time()
            if echo:
                return
            self._signals.append(number)
            if len(self._signals) == 1:
                log.info("%s: shutting down", number.name)
                self.stop()
            elif len(self._signals) == 2:
                self._break_off()
            else:
                os._exit(128 + number)

        handled = [number for number in ENDING if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
        for number in handled:
            loop.add_signal_handler(number, caught, number)
        try:
            yield
        finally:
            for number in handled:
                loop.remove_signal_handler(number)


def _sources(config: Config, grid: Grid) -> list[Source]:
    """The selected sources, not yet open. Raises `ConfigError`."""
    selected = selected_sources(config)
    found = []
    for source, name in zip(selected, source_names(selected, RESERVED), strict=True):
        spec = parse_spec(source.input)
        room = spec.kind in (SourceKind.MICROPHONE, SourceKind.URL)
        found.append(
            Source(
                name,
                opener(spec, grid.rate, source.loop, live=source.live, channel=source.channel),
                grid,
                config.audio,
                restarts=spec.restarts(source.loop, source.live),
                room=room,
                channel=source.channel,
                gain=source.gain,
                demonstration=spec.kind is SourceKind.DEMO,
            )
        )
    return found


def _summary(health: Health) -> str:
    """The run in one line: what was analysed, and at what cost."""
    used, recorders = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime + recorders.ru_utime + recorders.ru_stime
    sources = health.sources
    return (
        f"listened for {health.uptime:.0f} s to {len(sources)} source{'s' * (len(sources) != 1)}: "
        f"{sum(source.captured for source in sources):.1f} s of audio, "
        f"{sum(source.windows_done for source in sources)} windows, "
        f"{sum(source.windows_dropped for source in sources)} dropped, "
        f"{sum(source.overflows for source in sources)} overflows, "
        f"{sum(source.lost for source in sources):.1f} s lost; "
        f"inference p50 {1000 * health.inference_p50:.2f} ms, p95 {1000 * health.inference_p95:.2f} ms, "
        f"lag {1000 * max(source.lag for source in sources):.0f} ms; "
        f"CPU {100 * cpu / max(health.uptime, 1e-3):.1f} % of a core, "
        f"peak memory {used.ru_maxrss / 1024:.0f} MB"
    )
