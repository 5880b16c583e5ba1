"""`check`: test everything that `run` needs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.commands.options import ConfigOptions, configuration, option
from monitor.config.paths import event_log_path
from monitor.errors import MonitorError, SourceError

if TYPE_CHECKING:
    from monitor.classify.model import Model
    from monitor.config.schema import Config, SourceConfig
    from monitor.messages import ModelCard

LISTEN = 1.0
"""Seconds that each source is listened to."""
QUIET = -75.0
"""Level below which a source is too quiet for most sounds, dBFS."""
OPEN_TIMEOUT = 20.0
"""Seconds that a source may take to open."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(ConfigOptions):
    """Options of `check`."""

    DESCRIPTION = (
        "Reads the configuration, opens each source for a second, runs the model, connects to\n"
        "the broker, and explains what to do about what fails. The exit code is 0 only if\n"
        "everything works."
    )

    source: tuple[str, ...] = option(
        "--source", metavar="SPEC", action="append", default=(), help="test this source instead of the configured ones"
    )


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table."""

    part: str
    error: MonitorError | None
    detail: str


def main(options: Options) -> int:
    """Print the table; the exit code is 0 if everything works, else that of the first failure."""
    from monitor.commands.output import FAILED, OK, print_table

    config = configuration(options.config, sources=options.source)
    findings = asyncio.run(_check(config))
    rows = [(FAILED if finding.error else OK, finding.part, finding.detail) for finding in findings]
    print_table(("", "part", "finding"), rows)
    return next((finding.error.exit_code for finding in findings if finding.error), 0)


async def _check(config: Config) -> list[Finding]:
    from monitor.audio.selection import selected_sources
    from monitor.classify.open import open_model
    from monitor.mqtt.connection import probe

    findings = [Finding("configuration", None, f"node {config.node_name}")]
    rate = 16_000
    try:
        model = open_model(config.model)
    except MonitorError as error:
        findings.append(Finding("model", error, str(error)))
    else:
        rate = model.card.sample_rate
        findings.append(await _finding("model", _time_model(model)))
        findings.append(await _finding("rules", _resolve(config, model.card)))
    for source in selected_sources(config):
        findings.append(await _finding(f"source {source.name or source.input}", _listen(source, rate)))
    findings.append(await _finding("event log", _open_log(config)))
    if config.mqtt.host is None:
        findings.append(Finding("MQTT", None, "off: mqtt.host is not set"))
    else:
        findings.append(await _finding("MQTT", probe(config.mqtt, config.node_name)))
    return findings


async def _finding(part: str, test: Awaitable[str]) -> Finding:
    try:
        return Finding(part, None, await test)
    except MonitorError as error:
        return Finding(part, error, str(error))


async def _time_model(model: Model) -> str:
    import numpy as np

    window = np.zeros((1, model.card.window), np.float32)
    times = []
    for _ in range(20):
        begun = time.perf_counter()
        model.run(window)
        times.append(time.perf_counter() - begun)
    return f"{model.card.name} on {model.provider}, {1000 * float(np.median(times)):.1f} ms a window"


async def _resolve(config: Config, card: ModelCard) -> str:
    from monitor.control.settings import Settings
    from monitor.detect.rules import resolve

    rules = resolve(config.detection, card.labels, card.window / card.sample_rate, config.model.hop)
    # Refuses profiles that do not fit the rules.
    Settings(rules, config.profiles, [rule.label for rule in config.detection.rules])
    return ", ".join(rule.label for rule in rules) or "no sound will be detected"


async def _listen(source: SourceConfig, rate: int) -> str:
    """Open the source and measure its level for a second. Raises `SourceError`."""
    from monitor.audio.inputs.capture import open_capture
    from monitor.audio.level import dbfs
    from monitor.audio.signal import Signal
    from monitor.audio.spec import opener, parse_spec
    from monitor.messages import SILENCE_DBFS

    late = asyncio.Event()
    asyncio.get_running_loop().call_later(OPEN_TIMEOUT, late.set)
    spec = parse_spec(source.input)
    open_source = opener(spec, rate, source.loop, live=source.live, channel=source.channel)
    capture = await open_capture(open_source, late)
    if capture is None:
        raise SourceError(f"did not open within {OPEN_TIMEOUT:g} s")
    try:
        await asyncio.sleep(LISTEN)
        captured = capture.ring.written
        samples = capture.ring.read(max(capture.ring.oldest, captured - capture.rate), min(captured, capture.rate))
        if capture.failure is not None:
            raise SourceError(str(capture.failure))
        if not captured:
            raise SourceError(f"{capture.device} opened, but delivered no audio within {LISTEN:g} s")
        signal = Signal(capture.rate, capture.rate, source.channel)
        level = dbfs(signal.push(samples))
        note = f" ({signal.note})" if signal.note else ""
        if level < QUIET and source.gain == 0:
            note = note or " (very quiet: consider gain: auto)"
        if level <= SILENCE_DBFS:
            note = " (digital silence: is it muted?)"
        return f"{capture.device} at {capture.rate} Hz, level {level:.0f} dBFS{note}"
    finally:
        await asyncio.to_thread(capture.close)


async def _open_log(config: Config) -> str:
    from monitor.events.log import EventLog

    path = event_log_path(config)
    log = EventLog(path, config.events.keep_days, config.events.max_mb)
    try:
        await log.test()
    finally:
        await log.close()
    return str(path)
