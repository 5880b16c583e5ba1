"""Explains the errors of aiomqtt, paho, ssl and sockets: one sentence with the cause, if known, and what to do."""

import socket
import ssl
from collections.abc import Iterator

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.reasoncodes import ReasonCode

from monitor.config.schema import MqttConfig
from monitor.errors import BrokerError

_BAD_IDENTIFIER, _BAD_PASSWORD, _NOT_AUTHORISED, _KEEP_ALIVE = 133, 134, 135, 141  # MQTT 5's numbers
_EXPIRED, _UNTRUSTED, _WRONG_NAME = (10,), (18, 19, 20, 21), (62, 64)  # OpenSSL's verification errors


def address(config: MqttConfig) -> tuple[str, int]:
    """Host and port of the broker. Raises `BrokerError` if none is configured."""
    if not config.host:
        raise BrokerError("no MQTT broker is configured: set mqtt.host")
    return config.host, config.port or (8883 if config.tls.enabled else 1883)


def endpoint(config: MqttConfig) -> str:
    """The broker as HOST:PORT. Raises `BrokerError` if none is configured."""
    host, port = address(config)
    return f"{host}:{port}"


def explain(error: BaseException, config: MqttConfig) -> str:
    """Say in one sentence why the connection failed or was lost, and what to do."""
    host, _ = address(config)
    where = endpoint(config)
    for cause in _causes(error):
        match cause:
            case aiomqtt.MqttCodeError(rc=ReasonCode(value=code)):
                return _refusal(code, cause, config, where)
            case ssl.SSLCertVerificationError():
                return _untrusted(cause, host, where)
            case ssl.SSLError():
                reason = cause.reason or cause
                return f"no TLS connection to {where} ({reason}): check that mqtt.port is the broker's TLS port"
            case ConnectionRefusedError():
                return f"connection to {where} refused: check that the broker runs, and mqtt.host and mqtt.port"
            case socket.gaierror():
                return f"cannot find the host {host!r} ({cause.strerror}): check mqtt.host and the network"
            case UnicodeError():
                return f"invalid host name {host!r}: check mqtt.host"
            case ConnectionResetError() if config.tls.enabled:
                return f"{where} closed the TLS connection: check that mqtt.port is the broker's TLS port"
    return _silence(error, config, where)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes; aiomqtt suppresses the context, but it is still linked."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _refusal(code: int, error: aiomqtt.MqttCodeError, config: MqttConfig, where: str) -> str:
    if not isinstance(error, MqttConnectError):
        if code == _KEEP_ALIVE:
            return f"the broker at {where} stopped responding: the network or the broker is down"
        return (
            f"the connection to {where} was lost; if this repeats, the broker is unstable, "
            "or another monitor has the same node name"
        )
    if code in (_BAD_PASSWORD, _NOT_AUTHORISED):
        if config.username is None:
            return f"the broker at {where} requires a username: set mqtt.username and mqtt.password"
        return (
            f"the broker at {where} rejects user {config.username!r}: "
            "check mqtt.username and mqtt.password, and the user's permissions at the broker"
        )
    if code == _BAD_IDENTIFIER:
        return f"the broker at {where} rejects the client id: choose another node name"
    return f"the broker at {where} rejects the connection: {error.rc}"


def _untrusted(error: ssl.SSLCertVerificationError, host: str, where: str) -> str:
    if error.verify_code in _UNTRUSTED:
        return (
            f"the certificate of {where} is signed by an unknown authority: "
            "set mqtt.tls.ca_file to the broker's CA certificate"
        )
    if error.verify_code in _WRONG_NAME:
        return f"the certificate of {where} is not valid for {host!r}: set mqtt.host to a name in the certificate"
    if error.verify_code in _EXPIRED:
        return f"the certificate of {where} has expired: renew it, or correct this machine's clock"
    return f"invalid certificate of {where}: {error.verify_message}"


def _silence(error: BaseException, config: MqttConfig, where: str) -> str:
    """The message for a broker that sent nothing."""
    if str(error) == "Operation timed out":  # aiomqtt's own: connected, but no answer
        hint = "it may require a client certificate" if config.tls.enabled else "a TLS port requires mqtt.tls.enabled"
        return f"{where} accepts the connection but does not answer as an MQTT broker: check mqtt.port; {hint}"
    if any(isinstance(cause, TimeoutError) for cause in _causes(error)):
        return f"no answer from {where}: check mqtt.host, mqtt.port and firewalls"
    return f"cannot connect to {where}: {error}"
