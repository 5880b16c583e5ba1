"""Builds the parts of a running monitor and supervises them from start to end."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Iterator

from monitor.audio.source import Source
from monitor.audio.spec import SourceKind, default_name, opener, parse_spec
from monitor.audio.windows import Grid
from monitor.classify.classifier import Classifier
from monitor.classify.open import open_model
from monitor.config.paths import event_log_path, settings_path
from monitor.config.schema import Config, SourceConfig
from monitor.control.settings import Settings
from monitor.control.store import SettingsFile
from monitor.detect.rules import resolve
from monitor.errors import ConfigError
from monitor.events.log import EventLog
from monitor.health import HEALTH_INTERVAL, HealthReporter, summary
from monitor.hub import Hub, LocalFeed
from monitor.messages import Detection, Feed, Health, Snapshot
from monitor.mqtt.companion import Companion
from monitor.mqtt.control import Commands
from monitor.mqtt.controls import controls
from monitor.mqtt.discovery import Device
from monitor.mqtt.home_assistant import HomeAssistant
from monitor.mqtt.leftovers import Leftovers
from monitor.mqtt.publisher import Publisher
from monitor.mqtt.topics import RESERVED, Topics
from monitor.notify import notify
from monitor.pipeline import Pipeline, SourceTrack
from monitor.steering import Steering

log = logging.getLogger(__name__)

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that end the monitor."""
SHUTDOWN = 10.0
"""Seconds that an orderly end may take before what still hangs is broken off."""
ECHO = 0.5
"""Seconds within which a second signal is the same one: a terminal or `timeout` tells the whole process group, and some
parents pass it on as well."""
HISTORY = 50
"""Earlier detections that a display begins with."""

Display = Callable[[Feed], Awaitable[None]]
"""Shows a feed until it ends; one that returns earlier ends the monitor."""


class Service:
    """One running monitor."""

    def __init__(self, config: Config) -> None:
        """Load the model, check the rules, name the sources; nothing is opened yet. Raises `MonitorError`."""
        model = open_model(config.model)
        card = model.card
        hop = max(1, round(config.model.hop * card.sample_rate))
        rules = resolve(config.detection.rules, card.labels, card.window / card.sample_rate, config.model.hop)
        settings = Settings(rules, config.profiles, [rule.label for rule in config.detection.rules])
        node = config.node_name
        self._classifier = Classifier(model, config.model.batch)
        self._hub = Hub()
        self._log = EventLog(event_log_path(config), config.events.keep_days, config.events.max_mb)
        self._listeners = listeners(config, Grid(card.sample_rate, card.window, hop))
        tracks = {listener.name: SourceTrack(listener.name, node, card, rules, hop) for listener in self._listeners}
        self._pipeline = Pipeline(self._listeners, self._classifier, tracks, self._record, self._hub)
        self._health = HealthReporter(node, self._listeners, self._classifier, lambda: self._hub.dropped)
        self._publisher: Publisher | None = None
        if config.mqtt.host is not None:
            subscription = self._hub.subscribe(Detection, Snapshot, Health, capacity=1000)
            topics = Topics(config.mqtt.topic, node)
            set_by = controls(topics.prefix, node, settings.labels, settings.profiles)
            steering = Steering(settings, SettingsFile(settings_path(config)), self._listeners, tracks.values())
            steering.restore()
            sounds = {rule.label: [card.labels[index] for index in rule.classes] for rule in rules}
            device = Device(topics, list(tracks), sounds, set_by, config.mqtt.level)
            companions: list[Companion] = [Commands(topics, set_by, settings, steering.changed), Leftovers(device)]
            if config.mqtt.discovery:
                companions.append(HomeAssistant(device, config.mqtt.discovery_prefix, self._tell_again))
            self._publisher = Publisher(
                config.mqtt,
                node,
                list(tracks),
                settings.labels,
                subscription,
                self._log,
                self._health.broker_changed,
                companions,
            )
        self._told: Callable[[Detection], None] = lambda _: None
        self._signals: list[signal.Signals] = []
        self._deadline: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """End in order: sources first, then what they fed. Returns at once; what hangs is broken off later."""
        if self._deadline is None:
            notify(STOPPING="1")
            self._deadline = asyncio.get_running_loop().call_later(SHUTDOWN, self._break_off)
        for listener in self._listeners:
            listener.stop()

    async def run(
        self,
        display: Display | None = None,
        told: Callable[[Detection], None] = lambda _: None,
        duration: float | None = None,
    ) -> signal.Signals | None:
        """Listen until all sources have ended, `duration` seconds are over, the display returns, or a signal comes.

        `told` hears of each detection and must not wait. Returns the signal that ended it. Raises the `SourceError`
        of a source that broke off.
        """
        self._told = told
        with self._signals_handled():
            timer = asyncio.get_running_loop().call_later(duration, self.stop) if duration is not None else None
            self._task = asyncio.ensure_future(self._run_tasks(display))
            try:
                await self._task
            except asyncio.CancelledError:
                log.warning("broken off: not everything ended in time")
            finally:
                for handle in (timer, self._deadline):
                    if handle is not None:
                        handle.cancel()
                await self._log.close()
                self._classifier.close()
        failures = [listener.failure for listener in self._listeners if listener.failure is not None]
        if failures:
            raise failures[0]
        return self._signals[0] if self._signals else None

    def _break_off(self) -> None:
        self._classifier.terminate()
        if self._task is not None:
            self._task.cancel()

    async def _run_tasks(self, display: Display | None) -> None:
        if ended := await self._log.end_interrupted():
            log.warning("the last run did not end in order: %d sounds that were on are ended in the event log", ended)
        log.info("model %s on %s", self._classifier.card.name, self._classifier.provider)
        async with asyncio.TaskGroup() as tasks:
            for listener in self._listeners:
                tasks.create_task(self._listen(listener), name=f"listen to {listener.name}")
            if self._publisher is not None:
                tasks.create_task(self._publisher.run(), name="publish")
            if display is not None:
                feed = LocalFeed(self._hub, "this machine", await self._log.recent(HISTORY))
                tasks.create_task(self._show(display, feed), name="display")
            reporter = tasks.create_task(self._report(), name="health")
            notify(READY="1", STATUS=f"listening to {', '.join(listener.name for listener in self._listeners)}")
            await self._pipeline.run()
            reporter.cancel()
            health = self._health.report()
            self._hub.publish(health)
            self._hub.close()
            log.info(summary(health))

    async def _listen(self, listener: Source) -> None:
        """A file that fails ends alone; a room that can no longer be heard ends the monitor, to be started afresh."""
        await listener.run()
        if listener.failure is not None and listener.restarts:
            self.stop()

    async def _show(self, display: Display, feed: Feed) -> None:
        """The monitor ends with its display."""
        try:
            await display(feed)
        finally:
            self.stop()

    async def _record(self, detection: Detection) -> None:
        log.info("%s: %s %s (score %.2f)", detection.source, detection.label, detection.phase.value, detection.score)
        await self._log.append(detection)
        self._told(detection)

    def _tell_again(self) -> None:
        if self._publisher is not None:
            self._publisher.tell_again()

    async def _report(self) -> None:
        dropped = 0
        while True:
            health = self._health.report()
            self._hub.publish(health)
            newly = sum(source.windows_dropped for source in health.sources) - dropped
            if newly:
                log.warning("this machine is too slow: %d windows skipped to stay in real time", newly)
                dropped += newly
            await asyncio.sleep(HEALTH_INTERVAL)

    @contextlib.contextmanager
    def _signals_handled(self) -> Iterator[None]:
        """The first signal ends in order, the second breaks off, the third kills."""
        loop = asyncio.get_running_loop()

        last = -ECHO

        def caught(number: signal.Signals) -> None:
            nonlocal last
            echo, last = loop.time() - last < ECHO, loop.time()
            if echo:
                return
            self._signals.append(number)
            if len(self._signals) == 1:
                log.info("%s: ending", number.name)
                self.stop()
            elif len(self._signals) == 2:
                self._break_off()
            else:
                os._exit(128 + number)

        for number in ENDING:
            loop.add_signal_handler(number, caught, number)
        try:
            yield
        finally:
            for number in ENDING:
                loop.remove_signal_handler(number)


def listeners(config: Config, grid: Grid) -> list[Source]:
    """A listener for each configured source, with names that are unique."""
    named: list[Source] = []
    for source in config.sources or (default_source(config),):
        spec = parse_spec(source.input)
        name = source.name or default_name(spec)
        taken = RESERVED | {listener.name for listener in named}
        if name in taken:
            if source.name:
                why = "is not to be had" if name in RESERVED else "is there twice"
                raise ConfigError(f"sources: the name {name!r} {why}; give each its own")
            name = next(f"{name}-{n}" for n in range(2, len(taken) + 3) if f"{name}-{n}" not in taken)
        named.append(
            Source(
                name,
                opener(spec, grid.rate, source.loop),
                grid,
                config.audio,
                restarts=spec.restarts(source.loop),
                room=spec.kind in (SourceKind.MICROPHONE, SourceKind.URL),
            )
        )
    return named


def default_source(config: Config) -> SourceConfig:
    """The default microphone; where there is none, a demonstration that says what it is.

    Never a demonstration for a home that would believe it: with a broker, or as a service, the microphone is waited
    for, which may only be slow to start.
    """
    from monitor.audio.microphone import default_available

    if config.mqtt.host is not None or "NOTIFY_SOCKET" in os.environ or default_available():
        return SourceConfig(input="mic")
    log.warning("no microphone here: playing a synthesised demonstration instead (choose a source with --source)")
    return SourceConfig(input="demo")
