"""Connections that fail, at a real broker: each message says what is wrong and what to check."""

import asyncio
import gc
import itertools
import socket
from pathlib import Path

import pytest
from msgspec.structs import replace

from monitor.config.schema import MqttConfig, TlsConfig
from monitor.errors import BrokerError
from monitor.messages import BrokerState
from monitor.mqtt import connection
from monitor.mqtt.connection import client_id, connect, pauses, probe
from tests.mqtt.examples import eventually, listening, publishing
from tests.parts.broker import Broker


async def stay(config: MqttConfig, connected: asyncio.Event | None = None) -> None:
    """Connect as `same`, set the event, and wait for the end of the connection."""
    async with connect(config, "same") as client:
        if connected is not None:
            connected.set()
        async for _ in client.messages:
            pass


async def problem(config: MqttConfig) -> str:
    """The message of a connection that fails, at once or later."""
    with pytest.raises(BrokerError) as caught:
        await asyncio.wait_for(stay(config), 20)
    return str(caught.value)


@pytest.mark.real
async def test_passwords(tmp_path: Path) -> None:
    """A missing password, a wrong one and an unreadable file are named."""
    with Broker(tmp_path, passwords={"ha": "right"}) as broker:
        config = MqttConfig(host="127.0.0.1", port=broker.port)
        assert "requires a username: set mqtt.username and mqtt.password" in await problem(config)
        wrong = replace(config, username="ha", password="wrong")  # noqa: S106
        assert "rejects user 'ha': check mqtt.username and mqtt.password" in await problem(wrong)
        missing = replace(config, username="ha", password_file=f"{tmp_path}/none")
        assert await problem(missing) == f"cannot read mqtt.password_file {tmp_path}/none: No such file or directory"
        (tmp_path / "binary").write_bytes(b"\xff")
        binary = replace(config, username="ha", password_file=f"{tmp_path}/binary")
        assert await problem(binary) == f"cannot read mqtt.password_file {tmp_path}/binary: not UTF-8 text"


async def test_addresses(tmp_path: Path) -> None:
    """A refused connection, an unknown host, an invalid name and a missing name are named."""
    port = Broker(tmp_path).port
    here = MqttConfig(host="127.0.0.1", port=port)
    assert await problem(here) == (
        f"connection to 127.0.0.1:{port} refused: check that the broker runs, and mqtt.host and mqtt.port"
    )
    assert "cannot find the host 'nowhere.invalid'" in await problem(replace(here, host="nowhere.invalid"))
    assert await problem(replace(here, host="a..b")) == "invalid host name 'a..b': check mqtt.host"
    assert await problem(replace(here, host=None)) == "no MQTT broker is configured: set mqtt.host"


@pytest.mark.real
async def test_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """An unknown authority, a wrong name, invalid files and a port with or without TLS are named."""
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT", 0.5)
    with Broker(tmp_path, tls=True, client_certificate=True) as broker:
        good = TlsConfig(enabled=True, ca_file=str(broker.ca_file))
        config = MqttConfig(host="127.0.0.1", port=broker.tls_port, tls=good)
        assert "signed by an unknown authority: set mqtt.tls.ca_file" in await problem(
            replace(config, tls=TlsConfig(enabled=True))
        )
        assert "is not valid for '127.1': set mqtt.host" in await problem(replace(config, host="127.1"))
        assert "it may require a client certificate" in await problem(config)
        assert "check that mqtt.port is the broker's TLS port" in await problem(replace(config, port=broker.port))
        assert "a TLS port requires mqtt.tls.enabled" in await problem(replace(config, tls=TlsConfig()))
        for name, reason in (
            ("none", "No such file or directory"),
            ("ca.key", "not a PEM file, or not a matching one"),
        ):
            tls = TlsConfig(enabled=True, ca_file=f"{tmp_path}/{name}")
            assert await problem(replace(config, tls=tls)) == f"cannot use mqtt.tls.ca_file {tmp_path}/{name}: {reason}"
        swapped = replace(good, cert_file=f"{tmp_path}/client.crt", key_file=f"{tmp_path}/server.key")
        assert "cannot use client certificate" in await problem(replace(config, tls=swapped))
    await asyncio.get_running_loop().shutdown_default_executor()  # threads that still shake hands hold their sockets
    gc.collect()  # a socket that was left open warns
    assert caplog.text == ""


async def hung_up(line: socket.socket) -> None:
    """Return once the other side has closed the connection."""
    with line:
        line.settimeout(10)
        while await asyncio.to_thread(line.recv, 1024):
            pass


async def test_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that never answers is named, and its connection is closed."""
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        config = MqttConfig(host="127.0.0.1", port=deaf.getsockname()[1])
        assert "accepts the connection but does not answer as an MQTT broker" in await problem(config)
        await hung_up(deaf.accept()[0])


async def test_a_connection_that_is_cancelled_while_it_opens_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that opens it cannot be cancelled, but its connection is closed."""
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        config = MqttConfig(host="127.0.0.1", port=deaf.getsockname()[1])
        opening = asyncio.create_task(problem(config))
        line, _ = await asyncio.to_thread(deaf.accept)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await hung_up(line)


async def test_a_connection_taken_over_hints_at_the_second_monitor(config: MqttConfig) -> None:
    """The broker disconnects the first of two monitors with the same client id, and the message says so."""
    connected = asyncio.Event()
    first = asyncio.create_task(stay(config, connected))
    await connected.wait()
    async with connect(config, "same"):
        await asyncio.wait([first])
    assert "or another monitor has the same node name" in str(first.exception())


async def test_a_loss_together_with_the_acknowledgement_is_a_loss() -> None:
    """A server that accepts the connection and closes it at once counts as a loss."""
    with socket.create_server(("127.0.0.1", 0)) as rude:

        def serve() -> None:
            line, _ = rude.accept()
            with line:
                line.recv(1024)
                line.sendall(b"\x20\x02\x00\x00")  # CONNACK

        serving = asyncio.create_task(asyncio.to_thread(serve))
        assert "was lost" in await problem(MqttConfig(host="127.0.0.1", port=rude.getsockname()[1]))
        await serving


async def test_an_unexpected_error_while_writing_is_a_loss(
    config: MqttConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error in the write callback ends the connection; the event loop logs no traceback."""

    def fail(_: object) -> None:
        raise BrokenPipeError

    connected = asyncio.Event()
    staying = asyncio.create_task(stay(config, connected))
    await connected.wait()
    monkeypatch.setattr("paho.mqtt.client.Client.loop_write", fail)  # the next one is a ping
    await asyncio.wait([staying], timeout=20)
    assert isinstance(staying.exception(), BrokerError)
    assert caplog.text == ""


def test_the_client_id_is_stable_and_safe_for_access_lists() -> None:
    """The client id has no slash, which access lists of brokers may refuse."""
    assert client_id(MqttConfig(topic="home/sound"), "box") == "home-sound-box"


def test_pauses_are_short_at_first_then_double_up_to_a_bound() -> None:
    """Twelve short pauses, then longer ones of up to 30 seconds, without end."""
    first = list(itertools.islice(pauses(), 5000))
    assert all(0.5 <= pause <= 1 for pause in first[:12])
    assert all(0.5 <= pause <= 30 for pause in first)
    assert 15 <= min(first[40:]) < max(first[40:]) <= 30


@pytest.mark.real
async def test_probe_names_the_broker_and_the_user_and_leaves_nothing(config: MqttConfig, broker: Broker) -> None:
    """A probe publishes nothing and does not disconnect a running monitor of the same name."""
    async with publishing(config) as running:
        await eventually(lambda: running.connected)
        assert await probe(config, "box") == f"127.0.0.1:{broker.port} without a user"
        async with listening(broker.port) as recorder:
            await eventually(lambda: recorder.last("availability"))
            assert recorder.last("availability") == b"online"
        assert [state for state, _ in running.states[1:]] == [BrokerState.CONNECTING, BrokerState.CONNECTED]


@pytest.mark.real
async def test_probe_over_tls_with_a_client_certificate(tmp_path: Path) -> None:
    """A probe works with a private authority and a client certificate."""
    with Broker(tmp_path, tls=True, client_certificate=True, passwords={"ha": "secret"}) as broker:
        tls = TlsConfig(
            enabled=True,
            ca_file=str(broker.ca_file),
            cert_file=str(tmp_path / "client.crt"),
            key_file=str(tmp_path / "client.key"),
        )
        secret = tmp_path / "secret"
        secret.write_text("secret")
        config = MqttConfig(host="127.0.0.1", port=broker.tls_port, username="ha", password_file=str(secret), tls=tls)
        assert await probe(config, "box") == f"127.0.0.1:{broker.tls_port} as ha"


@pytest.mark.real
async def test_probe_raises_what_is_wrong(config: MqttConfig, broker: Broker) -> None:
    """A probe that fails raises one plain sentence."""
    broker.kill9()
    with pytest.raises(BrokerError, match=f"^connection to 127.0.0.1:{broker.port} refused: check"):
        await probe(config, "box")
