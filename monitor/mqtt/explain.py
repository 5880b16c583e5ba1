"""Turns what aiomqtt, paho, ssl and the socket raise into one sentence that names the cause where it can be known."""

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
    """Host and port of the broker. Raises `BrokerError` where none is configured."""
    if not config.host:
        raise BrokerError("no MQTT broker is configured: set mqtt.host")
    return config.host, config.port or (8883 if config.tls.enabled else 1883)


def endpoint(config: MqttConfig) -> str:
    """The broker as HOST:PORT. Raises `BrokerError` if none is configured."""
    host, port = address(config)
    return f"{host}:{port}"


def explain(error: BaseException, config: MqttConfig) -> str:
    """One sentence on why the connection failed or was lost, and what to do about it."""
    host, _ = address(config)
    where = endpoint(config)
    for cause in _causes(error):
        match cause:
            case aiomqtt.MqttCodeError(rc=ReasonCode(value=code)):
                return _refusal(code, cause, config, where)
            case ssl.SSLCertVerificationError():
                return _untrusted(cause, host, where)
            case ssl.SSLError():
                return f"no TLS connection to {where} ({cause.reason or cause}): is this the broker's TLS port?"
            case ConnectionRefusedError():
                return f"nothing listens at {where}: check that the broker runs, and mqtt.host and mqtt.port"
            case socket.gaierror():
                return f"cannot find the host {host!r} ({cause.strerror}): check mqtt.host and the network"
            case UnicodeError():
                return f"{host!r} is not a host name: check mqtt.host"
            case ConnectionResetError() if config.tls.enabled:
                return f"{where} hangs up on TLS: is this the broker's TLS port?"
    return _silence(error, config, where)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what led to it; aiomqtt hides the cause, but it is still linked."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _refusal(code: int, error: aiomqtt.MqttCodeError, config: MqttConfig, where: str) -> str:
    if not isinstance(error, MqttConnectError):
        if code == _KEEP_ALIVE:
            return f"the broker at {where} has fallen silent: the network or the broker is down"
        return (
            f"the connection to {where} was lost; if this repeats, the broker is unstable, "
            "or a second monitor has the same node name"
        )
    if code in (_BAD_PASSWORD, _NOT_AUTHORISED):
        if config.username is None:
            return f"the broker at {where} wants a user: set mqtt.username and mqtt.password"
        return (
            f"the broker at {where} does not let user {config.username!r} in: "
            "check mqtt.username and mqtt.password, and what the broker allows this user"
        )
    if code == _BAD_IDENTIFIER:
        return f"the broker at {where} does not accept our client name: choose another node name"
    return f"the broker at {where} refuses the connection: {error.rc}"


def _untrusted(error: ssl.SSLCertVerificationError, host: str, where: str) -> str:
    if error.verify_code in _UNTRUSTED:
        return (
            f"the certificate of {where} is signed by an unknown authority: "
            "set mqtt.tls.ca_file to the broker's CA certificate"
        )
    if error.verify_code in _WRONG_NAME:
        return f"the certificate of {where} is not for {host!r}: set mqtt.host to a name that it carries"
    if error.verify_code in _EXPIRED:
        return f"the certificate of {where} has expired: renew it, or set this machine's clock"
    return f"the certificate of {where} is not valid: {error.verify_message}"


def _silence(error: BaseException, config: MqttConfig, where: str) -> str:
    """Where nothing came back that would tell more."""
    if str(error) == "Operation timed out":  # aiomqtt's own: the line is up, but the answer fails to come
        hint = "it may want a client certificate" if config.tls.enabled else "a TLS port needs mqtt.tls.enabled"
        return f"{where} takes the connection but does not answer as an MQTT broker: check mqtt.port; {hint}"
    if any(isinstance(cause, TimeoutError) for cause in _causes(error)):
        return f"no answer from {where}: check mqtt.host and mqtt.port, and that no firewall is between"
    return f"cannot connect to {where}: {error}"
