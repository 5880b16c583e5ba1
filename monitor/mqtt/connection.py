"""One connection to the broker: opened as configured, closed cleanly, with its failures explained.

The default is MQTT 3.1.1, which every broker supports. aiomqtt does not expose what version 5 would add here: reason
codes of refused messages, and expiry.
"""

import asyncio
import logging
import random
import secrets
import ssl
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt

from monitor.config.schema import MqttConfig, TlsConfig
from monitor.errors import BrokerError
from monitor.mqtt.client import Client
from monitor.mqtt.explain import address, endpoint, explain
from monitor.mqtt.topics import OFFLINE

CONNECT_TIMEOUT = 5.0
"""Seconds within which the broker must answer."""

QUICK_ATTEMPTS, QUICK_PAUSE, LONGEST_PAUSE = 12, 1.0, 30.0
"""How many attempts follow each other quickly; the longest pause between these, and between all later ones, seconds."""

_PROTOCOLS = {"3.1.1": aiomqtt.ProtocolVersion.V311, "5": aiomqtt.ProtocolVersion.V5}

_wire_log = logging.getLogger(f"{__name__}.wire")
_wire_log.setLevel(logging.CRITICAL)  # the libraries repeat every error that `explain` explains


def client_id(config: MqttConfig, node: str) -> str:
    """The client id of a monitor: the same after each restart, so that the broker drops the previous connection."""
    return f"{config.topic.replace('/', '-')}-{node}"


def pauses() -> Iterator[float]:
    """Seconds to wait before each further attempt, without end: short at first, for a broker that restarts, then
    doubling up to a limit. All are random, so that clients do not reconnect at the same time."""
    for _ in range(QUICK_ATTEMPTS):
        yield random.uniform(0.5, 1.0) * QUICK_PAUSE  # noqa: S311 - no secret
    pause = QUICK_PAUSE
    while True:
        pause = min(LONGEST_PAUSE, 2 * pause)
        yield random.uniform(0.5, 1.0) * pause  # noqa: S311


@asynccontextmanager
async def connect(config: MqttConfig, identifier: str, availability: str | None = None) -> AsyncIterator[Client]:
    """A new connection. Raises `BrokerError`, with the cause, if it cannot be opened or is lost.

    Leaving normally disconnects; leaving by an error or a cancellation hangs up, so that the broker publishes the Last
    Will: a retained `offline` on the topic `availability`.
    """
    will = None if availability is None else aiomqtt.Will(availability, OFFLINE, qos=1, retain=True)
    try:
        client = await _client(config, identifier, will)
        await client.open()
    except (aiomqtt.MqttError, OSError, ValueError) as error:
        raise BrokerError(explain(error, config)) from error
    try:
        yield client
    except BaseException as error:
        await client.hang_up()
        if isinstance(error, aiomqtt.MqttError):
            raise BrokerError(explain(error, config)) from error
        raise
    finally:
        await client.close()


async def probe(config: MqttConfig, node: str) -> str:
    """Connect once without publishing, and name the broker and the user. Raises `BrokerError`."""
    async with connect(config, f"{client_id(config, node)}-check-{secrets.token_hex(4)}"):
        return f"{endpoint(config)} " + (f"as {config.username}" if config.username else "without a user")


async def together(*work: Coroutine[None, None, None], until: str = asyncio.FIRST_EXCEPTION) -> None:
    """Run these until all have ended, or with `until=FIRST_COMPLETED` until one has; then cancel the rest, and raise
    the first error."""
    tasks = [asyncio.create_task(part, name=getattr(part, "__name__", None)) for part in work]
    try:
        await asyncio.wait(tasks, return_when=until)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


async def _client(config: MqttConfig, identifier: str, will: aiomqtt.Will | None) -> Client:
    host, port = address(config)
    tls = await asyncio.to_thread(_tls_context, config.tls) if config.tls.enabled else None
    return Client(
        host,
        port,
        identifier=identifier,
        username=config.username,
        password=await asyncio.to_thread(_password, config),
        protocol=_PROTOCOLS[config.protocol],
        transport=config.transport,
        websocket_path=config.path,
        keepalive=config.keepalive,
        timeout=CONNECT_TIMEOUT,
        tls_context=tls,
        will=will,
        logger=_wire_log,
    )


def _password(config: MqttConfig) -> str | None:
    if config.password_file is None:
        return config.password
    try:
        return Path(config.password_file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise BrokerError(f"cannot read mqtt.password_file {config.password_file}: {reason}") from error


class _TlsSocket(ssl.SSLSocket):
    """Closes itself if its handshake fails; paho would leave it open."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def _tls_context(tls: TlsConfig) -> ssl.SSLContext:
    """A context that verifies the broker's certificate and name."""
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
    except OSError as error:
        raise BrokerError(f"cannot use mqtt.tls.ca_file {tls.ca_file}: {_reason(error)}") from error
    context.sslsocket_class = _TlsSocket
    if tls.cert_file is not None:
        try:
            context.load_cert_chain(tls.cert_file, tls.key_file, password="")  # never ask at the terminal
        except OSError as error:
            files = " with ".join(filter(None, (tls.cert_file, tls.key_file)))
            raise BrokerError(f"cannot use client certificate {files}: {_reason(error)}") from error
    return context


def _reason(error: OSError) -> str:
    return "not a PEM file, or not a matching one" if isinstance(error, ssl.SSLError) else str(error.strerror)
